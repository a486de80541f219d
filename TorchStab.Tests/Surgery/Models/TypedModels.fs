/// Models that declare their norms by TorchSharp's classes, as programs in F# do. Each takes (2, 4, 6, 6).
module TorchStab.Tests.Surgery.Models.TypedModels

open TorchSharp
open TorchSharp.Modules
open type TorchSharp.torch

type Residual() as this =
    inherit nn.Module<Tensor, Tensor>("Residual")
    let conv = nn.Conv2d(4L, 4L, 1L)
    let bn1 = nn.BatchNorm2d(4L)
    let bn2 : BatchNorm2d = nn.BatchNorm2d(4L)
    do this.RegisterComponents()
    override _.forward x = bn2.call(bn1.call(conv.call x).relu()) + x

type Attentive() =
    inherit nn.Module<Tensor, Tensor>("Attentive")
    member val Norm = nn.LayerNorm(6L) with get, set
    member this.Registered() =
        this.register_module("Norm", this.Norm)
        this
    override this.forward x = this.Norm.call(x).softmax(-1L)

type Pyramid() as this =
    inherit nn.Module<Tensor, Tensor>("Pyramid")
    let levels : BatchNorm2d list = [ nn.BatchNorm2d(4L); nn.BatchNorm2d(4L) ]
    let pair : GroupNorm * int = nn.GroupNorm(2L, 4L), 2
    let groups : InstanceNorm2d[] = [| nn.InstanceNorm2d(4L) |]
    do
        levels |> List.iteri (fun i level -> this.register_module($"level{i}", level))
        this.register_module("pair", fst pair)
        this.register_module("group", groups[0])
    override _.forward x = groups[0].call((fst pair).call(levels |> List.fold (fun y level -> level.call y) x))

type Pair = { First : BatchNorm2d; Scale : double }

type Recorded() as this =
    inherit nn.Module<Tensor, Tensor>("Recorded")
    let pair = { First = nn.BatchNorm2d(4L); Scale = 0.5 }
    do this.register_module("first", pair.First)
    override _.forward x = pair.First.call(x) * Scalar.op_Implicit pair.Scale

type Detector() as this =
    inherit nn.Module<Tensor, Tensor>("Detector")
    let bn = nn.BatchNorm2d(4L)
    do this.RegisterComponents()
    member _.Scale = bn.weight / (bn.running_var + bn.eps).sqrt()
    override _.forward x = bn.call x

let All : (unit -> nn.Module<Tensor, Tensor>) list =
    [ (fun () -> new Residual() :> nn.Module<Tensor, Tensor>)
      (fun () -> (new Attentive()).Registered() :> nn.Module<Tensor, Tensor>)
      (fun () -> new Pyramid() :> nn.Module<Tensor, Tensor>)
      (fun () -> new Recorded() :> nn.Module<Tensor, Tensor>)
      (fun () -> new Detector() :> nn.Module<Tensor, Tensor>) ]
