using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>The tensors of a norm of either library; null where it has none.</summary>
internal sealed record NormState(Parameter? Weight, Parameter? Bias, Tensor? RunningMean, Tensor? RunningVar, Tensor? Batches)
{
    public static NormState Of(nn.Module norm) => new(norm.get_parameter("weight"), norm.get_parameter("bias"),
        norm.get_buffer("running_mean"), norm.get_buffer("running_var"), norm.get_buffer("num_batches_tracked"));

    /// <summary>The running statistics, those that there are.</summary>
    public IEnumerable<Tensor> Statistics() => new[] { RunningMean, RunningVar, Batches }.OfType<Tensor>();

    /// <summary>The same tensor objects for a module of TorchStab, which disposes those it was made with.</summary>
    public void GiveTo(AffineModule norm)
    {
        norm.weight = Weight;
        norm.bias = Bias;
        if (norm is not TorchStab.Modules.NormBase tracking) return;
        tracking.running_mean = RunningMean;
        tracking.running_var = RunningVar;
        // TorchSharp's counter may have the dtype of the weights; a half type would stop counting at 256 or 2048.
        tracking.num_batches_tracked = Batches is { dtype: ScalarType.BFloat16 or ScalarType.Float16 } ? Batches.to(ScalarType.Int64) : Batches;
    }

    /// <summary>
    /// Puts these tensors back into a module of TorchSharp that may hold the same ones, or disposed ones where a <c>.to()</c> replaced them
    /// meanwhile. What this state lacks (a GroupNorm's running statistics) the module keeps, moved along.
    /// </summary>
    public void GiveBackTo(nn.Module<Tensor, Tensor> norm)
    {
        foreach (var (name, tensor) in ((string, Tensor?)[])[("weight", Weight), ("bias", Bias), ("running_mean", RunningMean), ("running_var", RunningVar)])
            if (tensor is not null) TorchSharpInternals.Adopt(norm, name, tensor);
        if (Batches is not null) GiveBackBatches(norm, Batches);
        if (Weight is not null) norm.to(Weight.device, Weight.dtype);
    }

    private static void GiveBackBatches(nn.Module norm, Tensor batches)
    {
        var own = norm.get_buffer("num_batches_tracked")!;
        if (ReferenceEquals(own, batches)) return;
        if (own.IsInvalid) TorchSharpInternals.Adopt(norm, "num_batches_tracked", batches);
        else using (no_grad()) own.copy_(batches);
    }
}
