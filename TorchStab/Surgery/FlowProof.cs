using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// Shows by running a module which layer feeds which norm. A random factor and shift of each output channel of a layer change the module's
/// output; the change goes away again if the norm's statistics follow, and then only if this norm gets all that the layer puts out, channel for
/// channel. The module runs on float64 copies of its parameters and buffers, so that rounding hides nothing; what it has is not written. Every
/// norm has random weights and statistics in them, so that none is blind (a weight of 0, say).
/// </summary>
internal sealed class FlowProof : IDisposable
{
    private readonly List<(Tensor tensor, Tensor other)> _exchanged = [];
    private readonly Generator _random = new(20150211, CPU);
    private readonly nn.Module<Tensor, Tensor> _module;
    private readonly Tensor _input;
    private Tensor? _output;

    private FlowProof(nn.Module<Tensor, Tensor> module, Tensor input) => (_module, _input) = (module, input.DetachFromDisposeScope());

    /// <summary>
    /// A proof on an input of the module: in float64, and in the module's own dtype where that can't be run in another one (libtorch's own layers, such
    /// as an LSTM, hold tensors that no object of TorchSharp stands for).
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

    /// <summary>Whether the norm gets the layer's output and nothing else does; null if the layer moves the output too little to tell.</summary>
    public bool? Holds(LinearView layer, BatchNormView norm)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var kept = new[] { layer.Weight, layer.Bias, norm.RunningMean, norm.RunningVar, norm.Weight }.OfType<Tensor>().Select(t => (tensor: t, value: t.clone())).ToList();
        double eps = finfo(layer.Weight.dtype).eps, tolerance = Math.Max(100 * eps, 1e-10);
        try
        {
            var (factor, shift) = Disturb(layer, norm);
            double changed = Change();
            if (!(changed > 10 * tolerance)) return null;
            norm.RunningMean.mul_(factor).add_(shift);
            norm.RunningVar.copy_((norm.RunningVar + norm.Eps) * factor.square() - norm.Eps);
            norm.Weight?.mul_(factor.sign());
            double left = Change();
            if (left <= tolerance) return true;
            if (!(left < changed / 100)) return false;
            Restore(layer, kept);
            return left <= 100 * Rounding(norm, eps);
        }
        finally
        {
            Restore(layer, kept);
        }
    }

    private static void Restore(LinearView layer, List<(Tensor tensor, Tensor value)> kept)
    {
        if (layer.Bias is null) layer.SetBias(null);
        foreach (var (tensor, value) in kept) tensor.copy_(value);
    }

    /// <summary>
    /// y ← factor·y + shift for each channel of the layer. Factors of both signs where the norm can take them back, and a shift: else a
    /// ReLU or a pooling between the two, which a positive factor passes through, would go unnoticed.
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

    /// <summary>How far the output moves if the norm's statistics move by some last places: what the rounding of its input does.</summary>
    private double Rounding(BatchNormView norm, double eps)
    {
        norm.RunningMean.add_(Noise(norm.RunningMean.shape, norm.RunningMean) * (norm.RunningMean.abs() + 1) * (8 * eps));
        norm.RunningVar.mul_(1 + Noise(norm.RunningVar.shape, norm.RunningVar) * (8 * eps));
        return Change();
    }

    public void Dispose()
    {
        foreach (var (tensor, other) in _exchanged)
        {
            TorchSharpInternals.Exchange(tensor, other);
            other.Dispose();
        }
        _input.Dispose();
        _output?.Dispose();
        _random.Dispose();
    }

    private void Start(ScalarType? dtype)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var modules = _module.modules().Prepend(_module).Distinct((IEqualityComparer<nn.Module>)ReferenceEqualityComparer.Instance).ToList();
        foreach (var tensor in modules.SelectMany(TorchSharpInternals.OwnTensors).Where(t => t.is_floating_point()).Distinct((IEqualityComparer<Tensor>)ReferenceEqualityComparer.Instance).ToList())
        {
            if (tensor.device_type == DeviceType.META) throw new NotSupportedException("a model on the meta device has no values to run with");
            var copy = tensor.detach();
            copy = (dtype is { } other && other != copy.dtype ? copy.to(other) : copy.clone()).DetachFromDisposeScope();
            _exchanged.Add((tensor, copy));
            TorchSharpInternals.Exchange(tensor, copy);
        }
        foreach (var norm in modules.Select(BatchNormView.Of).OfType<BatchNormView>()) Scramble(norm);
        _output = _module.call(_input).DetachFromDisposeScope();
    }

    private void Scramble(BatchNormView norm)
    {
        Tensor Like(Tensor t) => Noise(t.shape, t);
        norm.RunningMean.copy_(Like(norm.RunningMean));
        norm.RunningVar.copy_(Like(norm.RunningVar).square() + 0.5);
        norm.Bias?.copy_(Like(norm.Bias));
        if (norm.Weight is null) return;
        var weight = Like(norm.Weight);
        norm.Weight.copy_(weight.sign() * (weight.abs() + 0.5));
    }

    // Drawn on the CPU, where the generator is, whatever the module's device.
    private Tensor Noise(long[] shape, Tensor like) => randn(shape, ScalarType.Float64, CPU, generator: _random).to(like.dtype).to(like.device);

    /// <summary>The largest change of the output, against its largest value; NaN where it is not finite.</summary>
    private double Change()
    {
        using var scope = NewDisposeScope();
        return ((_module.call(_input) - _output!).abs().max() / _output!.abs().max()).to(ScalarType.Float64).item<double>();
    }
}
