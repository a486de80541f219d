using System.Text;
using TorchSharp.Modules;
using TorchStab.Dispatch;
using TorchStab.Modules;
using static TorchSharp.torch.optim;

namespace TorchStab.Optimization;

/// <summary>
/// The file format of TorchSharp's optimizers: name, counts, options and states, then optionally the master copies and the memory of a clipping rule.
/// </summary>
internal static class StateFile
{
    private const string Masters = nameof(MomentState.master_param);

    /// <summary>
    /// Writes a temporary file in the same folder and renames it at the end, so that a failure or a crash does not damage the old file. Symbolic links are
    /// kept and point to the new file, which has the old file's mode. Throws if the path is not a regular file, because the renaming would replace it.
    /// </summary>
    public static void Save(string location, Action<BinaryWriter> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(location);
        if (Path.Exists(location) && !FileKind.IsRegular(location))
            throw new ArgumentException($"expected the name of a file, got {location}, which is a folder, a device, a pipe or a socket; write to it through "
                + "save_state_dict(BinaryWriter)", nameof(location));
        string target = new FileInfo(location).LinkTarget is null ? location : File.ResolveLinkTarget(location, returnFinalTarget: true)!.FullName;
        string temporary = $"{target}.{Guid.NewGuid():N}.tmp";
        try
        {
            using (var writer = new BinaryWriter(Create(temporary, target))) write(writer);
            File.Move(temporary, target, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    // The file has the old file's mode from its creation, so that nobody can read it who could not read the old file.
    private static FileStream Create(string path, string old)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (OperatingSystem.IsWindows() || !File.Exists(old)) return new(path, options);
        var mode = File.GetUnixFileMode(old);
        options.UnixCreateMode = mode;
        var stream = new FileStream(path, options);
        File.SetUnixFileMode(stream.SafeFileHandle, mode); // sets the mode again, because the umask may have removed bits
        return stream;
    }

    public static void Write(BinaryWriter writer, string name, Optimizer.StateDictionary state)
    {
        writer.Write(name);
        writer.Write7BitEncodedInt64(state.Options.Count);
        writer.Write7BitEncodedInt64(state.State.Count);
        foreach (var options in state.Options) options.SaveStateDict(writer);
        foreach (var s in state.State) s.SaveStateDict(writer);
        WriteMasters(writer, [.. state.State.Cast<MomentState>()]);
    }

    public static void Read(BinaryReader reader, string name, IReadOnlyList<OptimizerOptions> options, IReadOnlyList<MomentState> states)
    {
        string found = TensorFile.ReadName(reader);
        if (found != name) throw new InvalidDataException($"Mismatched optimizer type: expected '{name}', but found '{found}' in the loaded stream.");
        Match(TensorFile.ReadNumber(reader), options.Count, "parameter groups");
        Match(TensorFile.ReadNumber(reader), states.Count, "states");
        foreach (var o in options) o.LoadStateDict(reader);
        foreach (var s in states) s.LoadStateDict(reader);
        ReadMasters(reader, states);
    }

    /// <summary>Runs checks of a file's content and throws their errors as errors of the file.</summary>
    /// <exception cref="InvalidDataException">A check failed.</exception>
    public static void Require(Action checks)
    {
        try
        {
            checks();
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException)
        {
            throw new InvalidDataException($"The file holds no state of this optimizer, or was corrupted: {e.Message}", e);
        }
    }

    /// <summary>Loads the memory of a clipping rule. Files of torch.optim do not contain one; the rule is not changed then.</summary>
    public static void ReadMemory(BinaryReader reader, GradientClip? rule)
    {
        if (rule is { HasMemory: true } && (!reader.BaseStream.CanSeek || reader.BaseStream.Position < reader.BaseStream.Length)) rule.LoadMemory(reader);
    }

    public static void Match(long found, long expected, string what, string argument = "state_dict")
    {
        if (found != expected)
            throw new ArgumentException($"Invalid optimizer state -- different number of {what}: expected {expected}, got {found}.", argument);
    }

    /// <summary>Writes the master copies of the states, if there are any.</summary>
    private static void WriteMasters(BinaryWriter writer, IReadOnlyList<MomentState> states)
    {
        if (states.All(s => s.master_param is null)) return;
        writer.Write(Masters);
        foreach (var s in states) s.SaveMaster(writer);
    }

    /// <summary>
    /// Reads the master copies, if the file has them; a file without them leaves those made from the parameters. A stream that cannot go back must have them,
    /// or end here, if a state needs one, and must not have them otherwise.
    /// </summary>
    private static void ReadMasters(BinaryReader reader, IReadOnlyList<MomentState> states)
    {
        var stream = reader.BaseStream;
        if (!stream.CanSeek && states.All(s => s.master_param is null)) return;
        long start = stream.CanSeek ? stream.Position : 0;
        byte[] marker = new byte[Masters.Length + 1];
        int read = stream.ReadAtLeast(marker, marker.Length, throwOnEndOfStream: false);
        if (read == marker.Length && marker[0] == Masters.Length && Encoding.ASCII.GetString(marker, 1, Masters.Length) == Masters)
            foreach (var s in states) s.LoadMaster(reader);
        else if (stream.CanSeek) stream.Position = start;
        else if (read > 0) throw TensorFile.Corrupted("it has no master weights, which this optimizer needs from a stream that cannot go back");
    }
}
