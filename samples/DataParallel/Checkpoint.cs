using static TorchSharp.torch;

namespace DataParallel;

/// <summary>
/// Step, model and optimizer in one file. Rank 0 saves, all load. A new file takes the old one's place in one move, so that a run that is
/// killed while it saves leaves the last whole one.
/// </summary>
internal static class Checkpoint
{
    public static void Save(FileInfo file, int step, nn.Module model, TorchStab.Modules.Adam optimizer)
    {
        string fresh = file.FullName + ".new";
        using (var writer = new BinaryWriter(File.Create(fresh)))
        {
            writer.Write(step);
            model.save(writer);
            optimizer.save_state_dict(writer);
        }
        File.Move(fresh, file.FullName, overwrite: true);
    }

    /// <summary>Loads both and returns the step; 0 where there is no file.</summary>
    public static int Load(FileInfo? file, nn.Module model, TorchStab.Modules.Adam optimizer)
    {
        if (file is not { Exists: true }) return 0;
        using var reader = new BinaryReader(file.OpenRead());
        int step = reader.ReadInt32();
        model.load(reader);
        optimizer.load_state_dict(reader);
        return step;
    }
}
