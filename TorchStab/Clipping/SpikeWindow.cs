namespace TorchStab.Clipping;

/// <summary>The latest values of one quantity, oldest first, and whether another one is far above them.</summary>
internal sealed class SpikeWindow
{
    private Queue<double> _values = new();

    /// <summary>Says how far the value is above the others; null if it is none, or if too few are known.</summary>
    public string? WhySpike(double value, string what, SpikePolicy policy)
    {
        if (_values.Count < Math.Max(2, policy.Window / 2)) return null;
        double mean = _values.Average(), deviation = Math.Sqrt(_values.Sum(v => (v - mean) * (v - mean)) / (_values.Count - 1));
        if (!(value - mean > policy.Sigma * deviation)) return null;
        return FormattableString.Invariant($"{what} {value:g4} is {(value - mean) / deviation:g3} deviations above the mean {mean:g4} ")
            + FormattableString.Invariant($"of the last {_values.Count} steps; {policy.Sigma:g3} are allowed");
    }

    public void Add(double value, SpikePolicy policy)
    {
        if (!double.IsFinite(value)) return; // the other policy's matter, and no number to average
        while (_values.Count >= policy.Window) _values.Dequeue();
        _values.Enqueue(value);
    }

    public void Save(BinaryWriter writer) => ClipMemory.Write(writer, [.. _values]);

    /// <summary>The window that a file holds.</summary>
    public static SpikeWindow Read(BinaryReader reader, SpikePolicy policy)
    {
        int count = reader.ReadInt32();
        if (count < 0) throw new InvalidDataException($"expected a number of values, got {count}: not the memory of a SpikePolicy");
        var window = new SpikeWindow();
        for (int i = 0; i < count; i++)
        {
            double value = reader.ReadDouble();
            if (!double.IsFinite(value)) throw new InvalidDataException($"expected a finite value, got {Repr.Of(value)}: not the memory of a SpikePolicy");
            window.Add(value, policy);
        }
        return window;
    }
}
