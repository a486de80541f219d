namespace TorchStab.Clipping;

/// <summary>AutoClip: clips the global norm to a percentile of the latest <paramref name="window"/> norms.</summary>
internal sealed class PercentileClip(double percentile, int window) : GradientClip
{
    private List<double> _norms = [];
    private int _next;
    private double? _last; // the norm of the last decision

    internal override bool HasMemory => true;

    internal override ClipDecision Decide(GradientSet gradients)
    {
        double norm = gradients.TotalNorm(2);
        _last = double.IsFinite(norm) ? norm : null;
        return ClipDecision.Uniform(norm, _last is null ? 1 : GlobalNormClip.Scale(norm, Quantile(norm), 1e-6));
    }

    internal override void Accept()
    {
        if (_last is not { } norm) return;
        if (_norms.Count < window) _norms.Add(norm);
        else _norms[_next] = norm;
        _next = (_next + 1) % window;
        _last = null;
    }

    internal override void SaveMemory(BinaryWriter writer)
    {
        writer.Write(_next);
        ClipMemory.Write(writer, _norms);
    }

    internal override void LoadMemory(BinaryReader reader)
    {
        var (next, norms) = (reader.ReadInt32(), ClipMemory.Read(reader));
        if (next < 0) throw new InvalidDataException($"expected a place in the window, got {next}: not the memory of a clipping rule");
        // The saved window may have another size: keep its latest norms, oldest first.
        int oldest = norms.Count == 0 ? 0 : next % norms.Count;
        _norms = [.. norms.Skip(oldest).Concat(norms.Take(oldest)).TakeLast(window)];
        _next = _norms.Count % window;
    }

    // The percentile of the window as it will be with this norm; interpolates linearly between neighbours, as numpy.percentile.
    private double Quantile(double norm)
    {
        double[] sorted = [.. _norms, norm];
        if (_norms.Count == window) sorted[_next] = norm;
        Array.Resize(ref sorted, Math.Min(sorted.Length, window));
        Array.Sort(sorted);
        double position = percentile / 100 * (sorted.Length - 1);
        int below = (int)position;
        return below + 1 < sorted.Length ? sorted[below] + (position - below) * (sorted[below + 1] - sorted[below]) : sorted[^1];
    }
}
