namespace TorchStab.Samples;

/// <summary>The folder a sample writes to. Opening it early finds out before the training whether it can be written.</summary>
public sealed class OutputFolder
{
    private readonly DirectoryInfo _folder;

    /// <exception cref="SampleException">The folder cannot be made.</exception>
    public OutputFolder(DirectoryInfo folder)
    {
        _folder = folder;
        Guard(() =>
        {
            folder.Create();
            string probe = Path.Combine(folder.FullName, Path.GetRandomFileName());
            File.WriteAllText(probe, "");
            File.Delete(probe);
        });
    }

    /// <summary>Writes one file through <paramref name="save"/>, which gets its path.</summary>
    /// <returns>The path as the user would type it.</returns>
    public string Save(string name, Action<string> save)
    {
        string path = Path.Combine(_folder.FullName, name);
        Guard(() => save(path));
        string relative = Path.GetRelativePath(Environment.CurrentDirectory, path);
        return relative.StartsWith("..", StringComparison.Ordinal) ? path : relative;
    }

    private void Guard(Action write)
    {
        try { write(); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SampleException($"cannot write to {_folder.FullName}: {e.Message} Choose another folder with --out.", e);
        }
    }
}
