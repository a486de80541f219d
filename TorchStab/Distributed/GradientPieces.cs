using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Dispatch;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Distributed;

/// <summary>
/// Sums all gradients of a model over the ranks. Ranks that share memory sum through it. Otherwise gradients are sent as messages: small ones together
/// in buckets, each large one in pieces of its own memory. The division depends on the parameters only, so that it is the same on all ranks.
/// </summary>
internal sealed class GradientPieces : IDisposable
{
    private readonly IReadOnlyList<Parameter> _parameters;
    private readonly GradientHandles _gradients = new();
    private readonly int[] _positions;
    private readonly long[][] _shapes;
    private readonly List<GradientBucket> _buckets = [];
    private readonly List<Tensor> _buffers = [];
    private readonly List<int> _large = [];
    private readonly List<SharedGradientSum> _shared = [];
    private readonly long _bytes;
    private readonly bool _views;

    public GradientPieces(IReadOnlyList<Parameter> parameters, long bytes, bool views, SharedSum? shared)
    {
        (_parameters, _bytes, _views) = (parameters, bytes, views);
        _positions = new int[parameters.Count];
        _shapes = [.. parameters.Select(p => p.shape)];
        foreach (var byType in Enumerable.Range(0, parameters.Count).GroupBy(i => (parameters[i].dtype, parameters[i].device_type, parameters[i].device_index)))
            if (shared is not null && KernelSelection.IsOnCpu(parameters[byType.First()]) && byType.Key.dtype == Sent(byType.Key.dtype))
                _shared.Add(new SharedGradientSum(shared, parameters, [.. byType]));
            else Divide(byType, Sent(byType.Key.dtype));
    }

    /// <summary>Replaces the gradients by their sums over the ranks; adds to <paramref name="nonFinite"/> whose gradient on this rank is not finite.</summary>
    public void Sum(ProcessGroup group, long step, HashSet<Parameter> nonFinite)
    {
        try
        {
            Read();
            Complete(group, step);
            foreach (int i in _large)
                if (_positions[i] >= 0 && !SumInPlace(group, _gradients.Tensor(_positions[i]))) nonFinite.Add(_parameters[i]);
            foreach (var shared in _shared) shared.Sum(_gradients, _positions, nonFinite);
            foreach (var bucket in _buckets) bucket.Sum(group, _gradients, _positions, nonFinite);
        }
        finally
        {
            _gradients.Release();
        }
    }

    public void Dispose()
    {
        _buckets.ForEach(b => b.Dispose());
        _buffers.ForEach(b => b.Dispose());
    }

    /// <summary>Whether all elements are finite. If their sum is, they are; if not, the sum may have overflowed, and each element is tested.</summary>
    internal static bool IsFinite(Tensor piece)
    {
        if (BucketLaunch.TryIsFinite(piece) is { } finite) return finite;
        using var sum = piece.sum();
        if (double.IsFinite(ReadNumber(sum))) return true;
        return piece.isfinite().all().item<bool>();
    }

    private void Read()
    {
        _gradients.Read(_parameters, gradientsOnly: true);
        bool converted = false;
        for (int k = 0; k < _gradients.Count; k++) converted |= Convert(_gradients.Tensor(k), _gradients.ParameterIndices[k]);
        if (converted)
        {
            _gradients.Release();
            _gradients.Read(_parameters, gradientsOnly: true);
        }
        Array.Fill(_positions, -1);
        for (int i = 0; i < _gradients.Count; i++) _positions[_gradients.ParameterIndices[i]] = i;
    }

    // A gradient that the user set may have another dtype than its parameter, on one rank only. It is converted to the parameter's dtype: ranks that
    // round differently would diverge.
    private bool Convert(Tensor gradient, int i)
    {
        var parameter = _parameters[i];
        GradientCheck.Dense(gradient, $"parameter {i}");
        if (!gradient.is_floating_point() || !gradient.shape.SequenceEqual(_shapes[i]))
            throw new InvalidOperationException($"The gradient of parameter {i} is {gradient.dtype} of shape {Repr.List(gradient.shape)}; "
                + $"DistributedDataParallel sums real gradients of the parameter's shape, here {Repr.List(_shapes[i])}.");
        if (gradient.dtype == parameter.dtype && gradient.device_type == parameter.device_type) return false;
        parameter.grad = gradient.to(parameter.dtype, parameter.device);
        return true;
    }

    // Gives this rank a gradient of zeros for each parameter of which only other ranks have one.
    private void Complete(ProcessGroup group, long step)
    {
        ulong mask = 0;
        foreach (int position in _positions) mask = (mask * 31) + (position < 0 ? 1u : 2u);
        long[] masks = group.Agree(new(CallKind.Step, step, _parameters.Count, _bytes, Free: (long)mask));
        if (masks.All(m => m == masks[0])) return;
        using var have = tensor(Array.ConvertAll(_positions, position => position < 0 ? 0L : 1L), device: CPU);
        group.Sum(have, ReduceOp.Max);
        for (int i = 0; i < _positions.Length; i++)
            if (_positions[i] < 0 && have[i].item<long>() != 0) _parameters[i].grad = zeros_like(_parameters[i]);
        _gradients.Release();
        Read();
    }

    // Sums a large gradient piece by piece; returns whether this rank's was finite.
    private bool SumInPlace(ProcessGroup group, Tensor gradient)
    {
        bool finite = true;
        var sent = gradient.dtype == Sent(gradient.dtype) && gradient.is_contiguous() ? gradient : gradient.to(Sent(gradient.dtype)).contiguous();
        var flat = sent.view(-1);
        long length = Math.Max(1, _bytes / flat.ElementSize);
        for (long start = 0; start < flat.numel(); start += length)
        {
            using var piece = flat.narrow(0, start, Math.Min(length, flat.numel() - start));
            finite &= IsFinite(piece);
            group.Sum(piece);
        }
        if (!ReferenceEquals(sent, gradient)) gradient.copy_(sent);
        return finite;
    }

    // Divides parameters of one dtype into large ones and buckets. Buckets that are not viewed by gradients share one buffer.
    private void Divide(IEnumerable<int> indices, ScalarType sent)
    {
        long most = Math.Max(1, _bytes / (sent == ScalarType.Float64 ? sizeof(double) : sizeof(float)));
        List<List<int>> buckets = [];
        long filled = 0;
        foreach (int i in indices)
        {
            long elements = _parameters[i].numel();
            if (elements > most / 4)
            {
                _large.Add(i);
                continue;
            }
            if (buckets.Count == 0 || filled + elements > most)
            {
                buckets.Add([]);
                filled = 0;
            }
            buckets[^1].Add(i);
            filled += elements;
        }
        if (buckets.Count == 0) return;
        if (_views && _parameters[buckets[0][0]].dtype == sent)
            buckets.ForEach(b => _buckets.Add(new GradientBucketView(_parameters, b, Buffer(sent, b))));
        else
        {
            var buffer = Buffer(sent, buckets.MaxBy(Elements)!);
            buckets.ForEach(b => _buckets.Add(new GradientBucket(_parameters, b, buffer)));
        }
    }

    private long Elements(List<int> bucket) => bucket.Sum(i => _parameters[i].numel());

    private Tensor Buffer(ScalarType sent, List<int> bucket)
    {
        _buffers.Add(zeros(Elements(bucket), sent, _parameters[bucket[0]].device).DetachFromDisposeScope());
        return _buffers[^1];
    }

    // The dtype of messages: half types are summed in float32.
    private static ScalarType Sent(ScalarType dtype) => dtype is ScalarType.Float64 ? dtype : ScalarType.Float32;
}
