namespace TorchStab.Clipping;

/// <summary>Writes remembered norms to a state file and reads them back; refuses a value that cannot be a norm.</summary>
internal static class ClipMemory
{
    public static void Write(BinaryWriter writer, List<double> values)
    {
        writer.Write(values.Count);
        foreach (double v in values) writer.Write(v);
    }

    public static List<double> Read(BinaryReader reader)
    {
        int count = reader.ReadInt32();
        if (count < 0) throw new InvalidDataException($"expected a number of norms, got {count}: not the memory of a clipping rule");
        var values = new List<double>();
        while (values.Count < count) values.Add(ReadNorm(reader));
        return values;
    }

    public static double ReadNorm(BinaryReader reader) => reader.ReadDouble() is >= 0 and < double.PositiveInfinity and double norm ? norm
        : throw new InvalidDataException("expected a finite norm of at least 0: not the memory of a clipping rule");
}
