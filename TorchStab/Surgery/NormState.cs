using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>The tensors of a norm of either library; null for those that it does not have.</summary>
internal sealed record NormState(Parameter? Weight, Parameter? Bias, Tensor? RunningMean, Tensor? RunningVar, Tensor? Batches)
{
    public static NormState Of(nn.Module norm) => new(norm.get_parameter("weight"), norm.get_parameter("bias"),
        norm.get_buffer("running_mean"), norm.get_buffer("running_var"), norm.get_buffer("num_batches_tracked"));

    /// <summary>The running statistics that are not null.</summary>
    public IEnumerable<Tensor> Statistics() => new[] { RunningMean, RunningVar, Batches }.OfType<Tensor>();

    /// <summary>Puts these tensor objects into a module of TorchStab, which disposes the tensors that its constructor made.</summary>
    public void PutInto(AffineModule norm)
    {
        norm.weight = Weight;
        norm.bias = Bias;
        if (norm is not TorchStab.Modules.NormBase tracking) return;
        tracking.running_mean = RunningMean;
        tracking.running_var = RunningVar;
        // TorchSharp's counter may have the dtype of the weights, and a half type cannot count beyond 256 or 2048.
        tracking.num_batches_tracked = Batches is { dtype: ScalarType.BFloat16 or ScalarType.Float16 } ? Batches.to(ScalarType.Int64) : Batches;
    }

    /// <summary>
    /// Puts these tensors back into the original module of TorchSharp. It may hold the same tensors, or disposed ones if a <c>.to()</c> replaced them in the
    /// meantime. The module keeps, and moves, tensors that are null here (the running statistics, if a GroupNorm replaced a BatchNorm).
    /// </summary>
    public void PutBackInto(nn.Module<Tensor, Tensor> norm)
    {
        foreach (var (name, tensor) in ((string, Tensor?)[])[("weight", Weight), ("bias", Bias), ("running_mean", RunningMean), ("running_var", RunningVar)])
            if (tensor is not null) TorchSharpInternals.Adopt(norm, name, tensor);
        if (Batches is not null) PutBackCounter(norm, Batches);
        if (Weight is not null) norm.to(Weight.device, Weight.dtype);
    }

    private static void PutBackCounter(nn.Module norm, Tensor batches)
    {
        var own = norm.get_buffer("num_batches_tracked")!;
        if (ReferenceEquals(own, batches)) return;
        if (own.IsInvalid) TorchSharpInternals.Adopt(norm, "num_batches_tracked", batches);
        else using (no_grad()) own.copy_(batches);
    }
}
