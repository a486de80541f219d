using System.Text.Json;
using TorchStab.Samples;

namespace Gallery;

/// <summary>The gallery's folder: for each experiment NAME.json and NAME.png, and the page gathered from them.</summary>
internal sealed class ResultFolder(DirectoryInfo folder)
{
    private const int PanelWidth = 640, PanelHeight = 400, Sharpness = 2;
    private readonly OutputFolder _output = new(folder);

    public void Save(ExperimentResult result, Chart picture)
    {
        _output.Save(result.Name + ".png", path => picture.Save(path, PanelWidth, PanelHeight, stacked: true, Sharpness));
        _output.Save(result.Name + ".json", path => File.WriteAllText(path, result.ToJson()));
    }

    /// <summary>Writes index.html from what is in the folder, whichever run left it.</summary>
    /// <returns>The page's path.</returns>
    public string SavePage() => _output.Save("index.html", path => File.WriteAllText(path, Page.Write(Catalogue.All, Load)));

    /// <summary>What an experiment left here; null: nothing yet, or nothing that this version can read.</summary>
    public (ExperimentResult Result, byte[] Picture)? Load(IExperiment experiment)
    {
        string path = Path.Combine(folder.FullName, experiment.Name);
        try
        {
            return (ExperimentResult.FromJson(File.ReadAllText(path + ".json")), File.ReadAllBytes(path + ".png"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }
}
