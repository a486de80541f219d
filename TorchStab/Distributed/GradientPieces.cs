using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>
/// Gradients as messages: small ones are gathered in buckets, large ones are summed where they lie, piece by piece. The division depends on
/// the parameters alone, so that it is the same on all ranks. Between ranks that share memory there are no messages.
/// </summary>
internal sealed class GradientPieces : IDisposable
{
    private readonly IReadOnlyList<Parameter> _parameters;
    private readonly GradientHandles _gradients = new();
    private readonly int[] _places;
    private readonly long[][] _shapes;
    private readonly List<GradientBucket> _buckets = [];
    private readonly List<Tensor> _buffers = [];
    private readonly List<int> _large = [];
    private readonly List<GradientRuns> _runs = [];
    private readonly long _bytes;
    private readonly bool _views;

    public GradientPieces(IReadOnlyList<Parameter> parameters, long bytes, bool views, SharedSum? shared)
    {
        (_parameters, _bytes, _views) = (parameters, bytes, views);
        _places = new int[parameters.Count];
        _shapes = [.. parameters.Select(p => p.shape)];
        foreach (var byType in Enumerable.Range(0, parameters.Count).GroupBy(i => (parameters[i].dtype, parameters[i].device_type, parameters[i].device_index)))
            if (shared is not null && KernelSelection.IsOnCpu(parameters[byType.First()]) && byType.Key.dtype == Sent(byType.Key.dtype))
                _runs.Add(new GradientRuns(shared, parameters, [.. byType]));
            else Divide(byType, Sent(byType.Key.dtype));
    }

    /// <summary>Puts the sums in place; notes the parameters whose gradient on this rank is not finite.</summary>
    public void Sum(ProcessGroup group, long step, HashSet<Parameter> bad)
    {
        try
        {
            Read();
            Complete(group, step);
            foreach (int i in _large)
                if (_places[i] >= 0 && !SumInPlace(group, _gradients.Tensor(_places[i]))) bad.Add(_parameters[i]);
            foreach (var runs in _runs) runs.Sum(_gradients, _places, bad);
            foreach (var bucket in _buckets) bucket.Sum(group, _gradients, _places, bad);
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

    /// <summary>Whether all elements are. A sum is finite only if all its terms are; where it is not, it may have overflowed.</summary>
    internal static bool IsFinite(Tensor piece)
    {
        if (BucketLaunch.TryIsFinite(piece) is { } finite) return finite;
        using var sum = piece.sum();
        if (double.IsFinite(sum.to(ScalarType.Float64).item<double>())) return true;
        return piece.isfinite().all().item<bool>();
    }

    private void Read()
    {
        _gradients.Read(_parameters, gradientsOnly: true);
        bool converted = false;
        for (int k = 0; k < _gradients.Count; k++) converted |= Convert(_gradients.Tensor(k), _gradients.Places[k]);
        if (converted)
        {
            _gradients.Release();
            _gradients.Read(_parameters, gradientsOnly: true);
        }
        Array.Fill(_places, -1);
        for (int i = 0; i < _gradients.Count; i++) _places[_gradients.Places[i]] = i;
    }

    // A gradient that was set by hand may have another dtype than its parameter, on one rank alone. What is summed, and what each rank steps with, has
    // the parameter's: ranks that round differently would drift apart.
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

    // All ranks' gradients: zeros where only others have one.
    private void Complete(ProcessGroup group, long step)
    {
        ulong mask = 0;
        foreach (int place in _places) mask = (mask * 31) + (place < 0 ? 1u : 2u);
        long[] masks = group.Agree(new(CallKind.Step, step, _parameters.Count, _bytes, Free: (long)mask));
        if (masks.All(m => m == masks[0])) return;
        using var have = tensor(Array.ConvertAll(_places, place => place < 0 ? 0L : 1L), device: CPU);
        group.Sum(have, ReduceOp.Max);
        for (int i = 0; i < _places.Length; i++)
            if (_places[i] < 0 && have[i].item<long>() != 0) _parameters[i].grad = zeros_like(_parameters[i]);
        _gradients.Release();
        Read();
    }

    // Whether this rank's gradient was finite.
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

    // Buckets that gradients are copied to go through one buffer.
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
        if (_views && _parameters[buckets[0][0]].dtype == sent) buckets.ForEach(b => _buckets.Add(new GradientBucketView(_parameters, b, Buffer(sent, b))));
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

    // Half types are summed in float32.
    private static ScalarType Sent(ScalarType dtype) => dtype is ScalarType.Float64 ? dtype : ScalarType.Float32;
}
