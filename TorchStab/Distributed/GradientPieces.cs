using TorchSharp.Modules;
using TorchStab.Clipping;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>
/// Gradients as messages: small ones are gathered in buckets, large ones are summed where they lie, piece by piece. The division depends on
/// the parameters alone, so that it is the same on all ranks. Pieces fit in a core's cache: each is looked at for NaN just before it is sent.
/// </summary>
internal sealed class GradientPieces : IDisposable
{
    private readonly IReadOnlyList<Parameter> _parameters;
    private readonly List<Bucket> _buckets = [];
    private readonly List<int> _large = [];
    private readonly long _bytes;

    public GradientPieces(IReadOnlyList<Parameter> parameters, long bytes)
    {
        (_parameters, _bytes) = (parameters, bytes);
        foreach (var byType in Enumerable.Range(0, parameters.Count).GroupBy(i => (parameters[i].dtype, parameters[i].device_type, parameters[i].device_index)))
            Divide(byType, Sent(byType.Key.dtype));
    }

    /// <summary>Puts the sums in place; notes the parameters whose gradient on this rank is not finite.</summary>
    public void Sum(ProcessGroup group, long step, HashSet<Parameter> bad)
    {
        var gradients = Present(group, step);
        foreach (int i in _large)
            if (gradients[i] is { } gradient) SumInPlace(group, gradient, () => bad.Add(_parameters[i]));
        foreach (var bucket in _buckets) bucket.Sum(group, gradients, i => bad.Add(_parameters[i]));
    }

    public void Dispose() => _buckets.ForEach(b => b.Dispose());

    // All ranks' gradients: zeros where only others have one, null where nobody has.
    private Tensor?[] Present(ProcessGroup group, long step)
    {
        var own = _parameters.Select((p, i) => p.grad is { } g ? GradientSet.Dense(g, $"parameter {i}") : null).ToArray();
        ulong mask = 0;
        for (int i = 0; i < own.Length; i++) mask = (mask * 31) + (own[i] is null ? 1u : 2u);
        long[] masks = group.Agree(new(CallKind.Step, step, _parameters.Count, Free: (long)mask));
        if (masks.All(m => m == masks[0])) return own;
        using var have = tensor(Array.ConvertAll(own, g => g is null ? 0L : 1L));
        group.Sum(have, ReduceOp.Max);
        for (int i = 0; i < own.Length; i++)
            if (own[i] is null && have[i].item<long>() != 0) own[i] = _parameters[i].grad = zeros_like(_parameters[i]);
        return own;
    }

    private void SumInPlace(ProcessGroup group, Tensor gradient, Action notFinite)
    {
        var sent = gradient.dtype == Sent(gradient.dtype) && gradient.is_contiguous() ? gradient : gradient.to(Sent(gradient.dtype)).contiguous();
        var flat = sent.view(-1);
        long length = Math.Max(1, _bytes / flat.ElementSize);
        for (long start = 0; start < flat.numel(); start += length)
        {
            using var piece = flat.narrow(0, start, Math.Min(length, flat.numel() - start));
            if (!IsFinite(piece)) notFinite();
            group.Sum(piece);
        }
        if (!ReferenceEquals(sent, gradient)) gradient.copy_(sent);
    }

    private void Divide(IEnumerable<int> indices, ScalarType sent)
    {
        long most = Math.Max(1, _bytes / (sent == ScalarType.Float64 ? sizeof(double) : sizeof(float)));
        List<int> bucket = [];
        long filled = 0;
        foreach (int i in indices)
        {
            long elements = _parameters[i].numel();
            if (elements > most / 4)
            {
                _large.Add(i);
                continue;
            }
            if (filled + elements > most) Close();
            bucket.Add(i);
            filled += elements;
        }
        Close();

        void Close()
        {
            if (bucket.Count > 0) _buckets.Add(new Bucket(_parameters, bucket, sent));
            (bucket, filled) = ([], 0);
        }
    }

    // Half types are summed in float32.
    private static ScalarType Sent(ScalarType dtype) => dtype is ScalarType.Float64 ? dtype : ScalarType.Float32;

    // A sum is finite only if all its terms are; where it is not, it may have overflowed.
    private static bool IsFinite(Tensor piece)
    {
        using var sum = piece.sum();
        if (double.IsFinite(sum.to(ScalarType.Float64).item<double>())) return true;
        return piece.isfinite().all().item<bool>();
    }

    /// <summary>Small gradients side by side in one message.</summary>
    private sealed class Bucket : IDisposable
    {
        private readonly List<int> _indices;
        private readonly Tensor _flat;
        private readonly List<Tensor> _views = [];

        public Bucket(IReadOnlyList<Parameter> parameters, List<int> indices, ScalarType sent)
        {
            _indices = indices;
            _flat = zeros(indices.Sum(i => parameters[i].numel()), sent, parameters[indices[0]].device).DetachFromDisposeScope();
            long start = 0;
            foreach (int i in indices)
            {
                using var part = _flat.narrow(0, start, parameters[i].numel());
                _views.Add(part.view(parameters[i].shape).DetachFromDisposeScope());
                start += parameters[i].numel();
            }
        }

        public void Sum(ProcessGroup group, Tensor?[] gradients, Action<int> notFinite)
        {
            for (int k = 0; k < _views.Count; k++)
            {
                if (gradients[_indices[k]] is { } gradient) _views[k].copy_(gradient);
                else _views[k].zero_();
            }
            if (!IsFinite(_flat))
                for (int k = 0; k < _views.Count; k++)
                    if (!IsFinite(_views[k])) notFinite(_indices[k]);
            group.Sum(_flat);
            for (int k = 0; k < _views.Count; k++) gradients[_indices[k]]?.copy_(_views[k]);
        }

        public void Dispose()
        {
            _views.ForEach(v => v.Dispose());
            _flat.Dispose();
        }
    }
}
