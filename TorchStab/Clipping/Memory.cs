namespace TorchStab.Clipping;

/// <summary>Lists of norms in a file.</summary>
internal static class Memory
{
    public static void Write(BinaryWriter writer, List<double> values)
    {
        writer.Write(values.Count);
        foreach (double v in values) writer.Write(v);
    }

    public static void Read(BinaryReader reader, List<double> values)
    {
        values.Clear();
        for (int n = reader.ReadInt32(); n > 0; n--) values.Add(reader.ReadDouble());
    }
}
