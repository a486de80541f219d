namespace TorchStab.Clipping;

/// <summary>AutoClip: the global norm is clipped to a percentile of those seen, of the latest <paramref name="window"/> ones here.</summary>
internal sealed class PercentileClip(double percentile, int window) : GradientClip
{
    private List<double> _seen = [];
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
        if (_seen.Count < window) _seen.Add(norm);
        else _seen[_next] = norm;
        _next = (_next + 1) % window;
        _last = null;
    }

    internal override void SaveMemory(BinaryWriter writer)
    {
        writer.Write(_next);
        ClipMemory.Write(writer, _seen);
    }

    internal override void LoadMemory(BinaryReader reader)
    {
        var (next, seen) = (reader.ReadInt32(), ClipMemory.Read(reader));
        if (next < 0) throw new InvalidDataException($"expected a place in the window, got {next}: not the memory of a clipping rule");
        // The window may be another than the one that was saved: its latest norms, oldest first.
        int oldest = seen.Count == 0 ? 0 : next % seen.Count;
        _seen = [.. seen.Skip(oldest).Concat(seen.Take(oldest)).TakeLast(window)];
        _next = _seen.Count % window;
    }

    // Of the norms that the window will hold with this one; linear between neighbours, as numpy.percentile.
    private double Quantile(double norm)
    {
        double[] sorted = [.. _seen, norm];
        if (_seen.Count == window) sorted[_next] = norm;
        Array.Resize(ref sorted, Math.Min(sorted.Length, window));
        Array.Sort(sorted);
        double position = percentile / 100 * (sorted.Length - 1);
        int below = (int)position;
        return below + 1 < sorted.Length ? sorted[below] + (position - below) * (sorted[below + 1] - sorted[below]) : sorted[^1];
    }
}
