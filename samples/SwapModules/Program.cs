using SwapModules;
using TorchSharp;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

const int Classes = 10, Images = 640, Size = 32;
var commandLine = new CommandLine();
return SampleProgram.Run(commandLine.Root, args, (parsed, stop) => Run(commandLine.Parse(parsed), stop));

static void Run(Settings s, CancellationToken stop)
{
    var device = Devices.Open(s.Device);
    if (s.Batch > Images) throw new SampleException($"--batch {s.Batch} is more than the {Images} images.");
    using var data = new Patterns(Images, Classes, Size, s.Batch, s.Seed, device);
    using var model = new ResNet(s.Width, Classes).to(device);
    var phases = new Phases(model, data, s.Steps, stop);
    using var clipping = SwapWhileTraining(model, phases, s);
    var updated = stab.nn.utils.update_bn(model, data.All());
    Report.Line($"update_bn: running statistics of {updated.Count} norms are now exactly those of the {Images} images\n");
    Fold(model, phases, data[0].images, clipping);
}

// What stands in a program before, the swap in the middle of it, and the optimizer that clips by itself.
static TorchStab.Modules.Adam SwapWhileTraining(ResNet model, Phases phases, Settings s)
{
    using var adam = optim.Adam(model.parameters(), s.LearningRate);
    phases.Train("training, torch.nn norms, clip_grad_norm_ + torch Adam", adam.zero_grad, () =>
    {
        nn.utils.clip_grad_norm_(model.parameters(), s.Clip);
        adam.step();
    });

    Print("swap_norms_, BatchNorm and ReLU in one where a Sequential shows it", stab.nn.utils.swap_norms_(model, new SwapOptions { FuseReLU = true }));
    phases.Train("training, stab.nn norms, the same optimizer", adam.zero_grad, () =>
    {
        nn.utils.clip_grad_norm_(model.parameters(), s.Clip);
        adam.step();
    });
    var clipping = stab.optim.Adam(model.named_parameters(), s.LearningRate, global_clipnorm: s.Clip);
    phases.Train("training, stab.nn norms, stab.optim.Adam that clips", clipping.zero_grad, () => clipping.step());
    return clipping;
}

// Inference without norms: in the convolutions before them. The optimizer takes over what is new.
static void Fold(ResNet model, Phases phases, Tensor example, TorchStab.Modules.Adam optimizer)
{
    phases.Evaluate("inference, norms as layers");
    using var before = Output(model, example);
    stab.nn.utils.fuse_norms(model, out var folded, example);
    optimizer.rebind(model);
    using var after = Output(model, example);
    Print("fuse_norms", folded);
    phases.Evaluate("inference, norms folded into the convolutions");

    Report.Table("ResNet", ["phase", "median ms", "result"], phases.Done.Select(p => (IReadOnlyList<string>)[p.Name, $"{p.Milliseconds:0.00}", p.Result]));
    Report.Line($"folding moved the outputs by at most {Largest(before, after):0.0e+0} of the largest");
}

static void Print(string title, SurgeryReport report)
{
    Report.Table(title, ["path", "from", "to"], report.Changes.Select(c => (IReadOnlyList<string>)[c.Path, c.From, c.To]));
    foreach (var refusal in report.Refusals) Report.Line($"{refusal.Path} stays {refusal.Module}: {refusal.Reason}");
}

static Tensor Output(nn.Module<Tensor, Tensor> model, Tensor input)
{
    using var _ = no_grad();
    return model.call(input);
}

static float Largest(Tensor before, Tensor after)
{
    using var scope = NewDisposeScope();
    return ((before - after).abs().max() / before.abs().max()).item<float>();
}
