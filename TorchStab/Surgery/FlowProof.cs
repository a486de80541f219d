using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// Shows by running a module which layer feeds which norm. A random factor and shift of each output channel of a layer change the module's
/// output; the change goes away again if the norm's statistics follow, and then only if this norm gets all that the layer puts out. While the
/// proof lasts every norm has random weights and statistics, so that none is blind (a weight of 0, say); at the end all values are back,
/// bit for bit.
/// </summary>
internal sealed class FlowProof : IDisposable
{
    private readonly List<(Tensor tensor, Tensor value)> _values = [];
    private readonly Generator _random = new(20150211);
    private readonly nn.Module<Tensor, Tensor> _module;
    private readonly Tensor _input;
    private Tensor? _output;

    private FlowProof(nn.Module<Tensor, Tensor> module, Tensor input) => (_module, _input) = (module, input.alias().DetachFromDisposeScope());

    /// <summary>A proof on an input of the module.</summary>
    public static FlowProof Within(nn.Module<Tensor, Tensor> module, Tensor input)
    {
        var proof = new FlowProof(module, input);
        try
        {
            proof.Start();
            return proof;
        }
        catch
        {
            proof.Dispose();
            throw;
        }
    }

    /// <summary>A proof on noise of a shape that the module's first layer takes; null if the module takes none of the sizes tried.</summary>
    public static FlowProof? Within(nn.Module module)
    {
        if (module is not nn.Module<Tensor, Tensor> function || module.children().Select(LinearView.Of).FirstOrDefault(l => l is not null) is not { } first) return null;
        foreach (long[] shape in Shapes(first.Module))
        {
            using var scope = NewDisposeScope();
            using var random = new Generator(20150211);
            var input = randn(shape, first.Weight.dtype, first.Weight.device, generator: random);
            try
            {
                return Within(function, input);
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                // The module's forward refused this size; the next may fit.
            }
        }
        return null;
    }

    /// <summary>Whether the norm gets the layer's output and nothing else does.</summary>
    public bool Holds(LinearView layer, BatchNormView norm)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var kept = new[] { layer.Weight, layer.Bias, norm.RunningMean, norm.RunningVar, norm.Weight }.OfType<Tensor>().Select(t => (tensor: t, value: t.clone())).ToList();
        double tolerance = Math.Sqrt(finfo(layer.Weight.dtype).eps);
        try
        {
            var (factor, shift) = Disturb(layer, norm);
            if (!(Change() > 10 * tolerance)) return false;
            norm.RunningMean.mul_(factor).add_(shift);
            norm.RunningVar.copy_((norm.RunningVar + norm.Eps) * factor.square() - norm.Eps);
            norm.Weight?.mul_(factor.sign());
            return Change() <= tolerance;
        }
        finally
        {
            if (layer.Bias is null) layer.SetBias(null);
            foreach (var (tensor, value) in kept) tensor.copy_(value);
        }
    }

    /// <summary>
    /// y ← factor·y + shift for each channel of the layer. Factors of both signs where the norm can take them back, and a shift: else a
    /// ReLU or a pooling between the two, which a positive factor passes through, would go unnoticed.
    /// </summary>
    private (Tensor factor, Tensor shift) Disturb(LinearView layer, BatchNormView norm)
    {
        Tensor Noise() => randn(layer.OutChannels, layer.Weight.dtype, layer.Weight.device, generator: _random);
        var (factor, shift) = (Noise(), Noise());
        if (norm.Weight is null) factor = factor.abs();
        factor = where(factor < 0, factor - 1, factor + 1);
        var bias = FoldingFunctional.Bias(layer.Bias, factor, shift, layer.Weight.dtype);
        layer.Weight.copy_(FoldingFunctional.Weight(layer.Weight, factor, layer.Transposed, layer.Groups));
        if (layer.Bias is null) layer.SetBias(new Parameter(bias, false));
        else layer.Bias.copy_(bias);
        return (factor, shift);
    }

    public void Dispose()
    {
        using var _ = no_grad();
        foreach (var (tensor, value) in _values)
        {
            tensor.copy_(value);
            value.Dispose();
        }
        _input.Dispose();
        _output?.Dispose();
        _random.Dispose();
    }

    private void Start()
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        foreach (var norm in _module.modules().Select(BatchNormView.Of).OfType<BatchNormView>())
        {
            Scramble(norm.RunningMean, x => x);
            Scramble(norm.RunningVar, x => x.square() + 0.5);
            if (norm.Weight is not null) Scramble(norm.Weight, x => x.sign() * (x.abs() + 0.5));
            if (norm.Bias is not null) Scramble(norm.Bias, x => x);
        }
        _output = _module.call(_input).DetachFromDisposeScope();
    }

    private void Scramble(Tensor tensor, Func<Tensor, Tensor> shape)
    {
        _values.Add((tensor, tensor.clone().DetachFromDisposeScope()));
        tensor.copy_(shape(randn(tensor.shape, tensor.dtype, tensor.device, generator: _random)));
    }

    /// <summary>The largest change of the output, against its largest value; NaN where it is not finite.</summary>
    private double Change()
    {
        using var scope = NewDisposeScope();
        return ((_module.call(_input) - _output!).abs().max() / _output!.abs().max()).to(ScalarType.Float64).item<double>();
    }

    // Sizes of images and sequences that networks are commonly written for.
    private static IEnumerable<long[]> Shapes(nn.Module layer) => layer switch
    {
        Linear l => [[4, l.in_features]],
        Convolution c => new long[] { 32, 28, 64, 224 }.Where(size => c.kernel_size.Length < 3 || size <= 32)
            .Select(size => (long[])[2, c.in_channels, .. Enumerable.Repeat(size, c.kernel_size.Length)]),
        _ => [],
    };
}
