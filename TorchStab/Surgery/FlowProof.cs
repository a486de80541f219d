using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Surgery;

/// <summary>
/// Shows, by running a module, which layer feeds which norm. A random factor and shift on each output channel of a layer change the module's output. If the
/// norm's statistics are changed in the same way, the output returns to its old value only if this norm, and nothing else, gets the layer's output, channel
/// for channel. The module runs on float64 copies of its parameters and buffers, so that rounding does not hide a difference; the originals are not written.
/// In the copies every norm has random weights and statistics, so that none ignores its input (as with a weight of 0).
/// </summary>
internal sealed class FlowProof : IDisposable
{
    private readonly List<(Tensor tensor, Tensor copy)> _exchanged = [];
    private readonly Generator _random = new(20150211, CPU);
    private readonly nn.Module<Tensor, Tensor> _module;
    private readonly Tensor _input;
    private Tensor? _output;

    private FlowProof(nn.Module<Tensor, Tensor> module, Tensor input) => (_module, _input) = (module, input.DetachFromDisposeScope());

    /// <summary>
    /// A proof on an input of the module. It runs in float64, or in the module's own dtype if the module cannot run in another one (libtorch's own layers,
    /// such as an LSTM, hold tensors for which TorchSharp has no objects).
    /// </summary>
    public static FlowProof Within(nn.Module<Tensor, Tensor> module, Tensor input)
    {
        using var scope = NewDisposeScope();
        try
        {
            return Of(module, input.is_floating_point() ? input.detach().to(ScalarType.Float64) : input.alias(), ScalarType.Float64);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            return Of(module, input.alias(), null);
        }
    }

    private static FlowProof Of(nn.Module<Tensor, Tensor> module, Tensor input, ScalarType? dtype)
    {
        var proof = new FlowProof(module, input);
        try
        {
            proof.Start(dtype);
            return proof;
        }
        catch
        {
            proof.Dispose();
            throw;
        }
    }

    /// <summary>Whether the norm, and nothing else, gets the layer's output; null if the layer changes the module's output too little to decide.</summary>
    public bool? Holds(LinearView layer, BatchNormView norm)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var saved = new[] { layer.Weight, layer.Bias, norm.RunningMean, norm.RunningVar, norm.Weight }.OfType<Tensor>()
            .Select(t => (tensor: t, value: t.clone())).ToList();
        double eps = finfo(layer.Weight.dtype).eps, tolerance = Math.Max(100 * eps, 1e-10);
        try
        {
            var (factor, shift) = Disturb(layer, norm);
            double disturbed = Change();
            if (!(disturbed > 10 * tolerance)) return null;
            norm.RunningMean.mul_(factor).add_(shift, One);
            norm.RunningVar.copy_((norm.RunningVar + norm.Eps) * factor.square() - norm.Eps);
            norm.Weight?.mul_(factor.sign());
            double compensated = Change();
            if (compensated <= tolerance) return true;
            if (!(compensated < disturbed / 100)) return false;
            Restore(layer, saved);
            return compensated <= 100 * Rounding(norm, eps);
        }
        finally
        {
            Restore(layer, saved);
        }
    }

    private static void Restore(LinearView layer, List<(Tensor tensor, Tensor value)> saved)
    {
        if (layer.Bias is null) layer.SetBias(null);
        foreach (var (tensor, value) in saved) tensor.copy_(value);
    }

    /// <summary>
    /// y ← factor·y + shift for each channel of the layer. The shift, and factors of both signs if the norm's weight can compensate them, reveal a ReLU or a
    /// pooling between the two: a positive factor alone commutes with those.
    /// </summary>
    private (Tensor factor, Tensor shift) Disturb(LinearView layer, BatchNormView norm)
    {
        var (factor, shift) = (Noise([layer.OutChannels], layer.Weight), Noise([layer.OutChannels], layer.Weight));
        if (norm.Weight is null) factor = factor.abs();
        factor = where(factor < 0, factor - 1, factor + 1);
        var bias = FoldingFunctional.Bias(layer.Bias, factor, shift, layer.Weight.dtype);
        layer.Weight.copy_(FoldingFunctional.Weight(layer.Weight, factor, layer.Transposed, layer.Groups));
        if (layer.Bias is null) layer.SetBias(new Parameter(bias, false));
        else layer.Bias.copy_(bias);
        return (factor, shift);
    }

    /// <summary>The change of the output when the norm's statistics change by a few rounding errors, as by the rounding of its input.</summary>
    private double Rounding(BatchNormView norm, double eps)
    {
        norm.RunningMean.add_(Noise(norm.RunningMean.shape, norm.RunningMean) * (norm.RunningMean.abs() + 1) * (8 * eps), One);
        norm.RunningVar.mul_(1 + Noise(norm.RunningVar.shape, norm.RunningVar) * (8 * eps));
        return Change();
    }

    public void Dispose()
    {
        foreach (var (tensor, copy) in _exchanged)
        {
            TorchSharpInternals.Exchange(tensor, copy);
            copy.Dispose();
        }
        _input.Dispose();
        _output?.Dispose();
        _random.Dispose();
    }

    private void Start(ScalarType? dtype)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var modules = _module.modules().Prepend(_module).ToHashSet((IEqualityComparer<nn.Module>)ReferenceEqualityComparer.Instance);
        var tensors = modules.SelectMany(TorchSharpInternals.OwnTensors).Where(t => t.is_floating_point())
            .ToHashSet((IEqualityComparer<Tensor>)ReferenceEqualityComparer.Instance);
        foreach (var tensor in tensors)
        {
            if (tensor.device_type == DeviceType.META) throw new NotSupportedException("a model on the meta device has no values to run with");
            var copy = tensor.detach();
            copy = (dtype is { } other && other != copy.dtype ? copy.to(other) : copy.clone()).DetachFromDisposeScope();
            _exchanged.Add((tensor, copy));
            TorchSharpInternals.Exchange(tensor, copy);
        }
        foreach (var norm in modules.Select(BatchNormView.Of).OfType<BatchNormView>()) Randomize(norm);
        _output = _module.call(_input).DetachFromDisposeScope();
    }

    private void Randomize(BatchNormView norm)
    {
        Tensor Like(Tensor t) => Noise(t.shape, t);
        norm.RunningMean.copy_(Like(norm.RunningMean));
        norm.RunningVar.copy_(Like(norm.RunningVar).square() + 0.5);
        norm.Bias?.copy_(Like(norm.Bias));
        if (norm.Weight is null) return;
        var weight = Like(norm.Weight);
        norm.Weight.copy_(weight.sign() * (weight.abs() + 0.5));
    }

    // Drawn on the CPU, where the generator is, and moved to the module's device.
    private Tensor Noise(long[] shape, Tensor like) =>
        randn(shape, ScalarType.Float64, CPU, generator: _random).to(like.dtype).to(like.device);

    /// <summary>The largest change of the output, relative to its largest value; NaN if it is not finite.</summary>
    private double Change()
    {
        using var scope = NewDisposeScope();
        return ReadNumber((_module.call(_input) - _output!).abs().max() / _output!.abs().max());
    }
}
