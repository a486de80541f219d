using TorchSharp.Modules;
using static TorchSharp.torch.optim;

namespace TorchStab.Optimization;

/// <summary>The file format of TorchSharp's optimizers: name, counts, options, states; the memory of a clipping rule may follow.</summary>
internal static class StateFile
{
    /// <summary>Writes beside the file and puts it in place at the end: a failure or a crash leaves the old one whole.</summary>
    public static void Save(string location, Action<BinaryWriter> write)
    {
        string temporary = $"{location}.{Guid.NewGuid():N}.tmp";
        try
        {
            using (var writer = new BinaryWriter(File.Create(temporary))) write(writer);
            File.Move(temporary, location, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    public static void Write(BinaryWriter writer, string name, Optimizer.StateDictionary state)
    {
        writer.Write(name);
        writer.Write7BitEncodedInt64(state.Options.Count);
        writer.Write7BitEncodedInt64(state.State.Count);
        foreach (var options in state.Options) options.SaveStateDict(writer);
        foreach (var s in state.State) s.SaveStateDict(writer);
    }

    public static void Read(BinaryReader reader, string name, IReadOnlyList<OptimizerOptions> options, IReadOnlyList<OptimizerState> states)
    {
        string found = reader.ReadString();
        if (found != name) throw new InvalidDataException($"Mismatched optimizer type: expected '{name}', but found '{found}' in the loaded stream.");
        Match(reader.Read7BitEncodedInt64(), options.Count, "parameter groups");
        Match(reader.Read7BitEncodedInt64(), states.Count, "states");
        foreach (var o in options) o.LoadStateDict(reader);
        foreach (var s in states) s.LoadStateDict(reader);
    }

    /// <summary>Files of torch.optim end before it; the rule then starts anew.</summary>
    public static void ReadMemory(BinaryReader reader, GradientClip? rule)
    {
        if (rule is { HasMemory: true } && (!reader.BaseStream.CanSeek || reader.BaseStream.Position < reader.BaseStream.Length)) rule.LoadMemory(reader);
    }

    public static void Match(long found, long expected, string what)
    {
        if (found != expected) throw new ArgumentException($"Invalid optimizer state -- different number of {what}: expected {expected}, got {found}.", nameof(found));
    }
}
