using System.Text.Json;
using TorchStab.Samples;

namespace Gallery;

/// <summary>The gallery's folder: for each experiment NAME.json and its pictures, and the page and the table gathered from them.</summary>
internal sealed class ResultFolder(DirectoryInfo folder)
{
    private const int Width = 640, Height = 380, SmallWidth = 480, SmallHeight = 300, Sharpness = 2;
    private readonly OutputFolder _output = new(folder);

    public void Save(ExperimentResult result, IReadOnlyList<Chart> pictures)
    {
        _output.Save(Small(result.Name), path => pictures[0].Save(path, SmallWidth, SmallHeight, scale: Sharpness));
        for (int i = 0; i < pictures.Count; i++) _output.Save(Large(result.Name, i), path => pictures[i].Save(path, Width, Height, scale: Sharpness));
        _output.Save(result.Name + ".json", path => File.WriteAllText(path, result.ToJson()));
    }

    public void Save(IExperiment experiment, Record record) =>
        _output.Save(RecordOf(experiment), path => File.WriteAllText(path, JsonSerializer.Serialize(record, ExperimentResult.Lines)));

    /// <summary>What <see cref="Save(IExperiment, Record)"/> left; null: nothing, or nothing that this version can read.</summary>
    public Record? LoadRecord(IExperiment experiment)
    {
        try
        {
            return JsonSerializer.Deserialize<Record>(File.ReadAllText(Path.Combine(folder.FullName, RecordOf(experiment))), ExperimentResult.Lines);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    /// <summary>Writes index.html, and the same in short as table.md, from what is in the folder, whichever run left it.</summary>
    /// <returns>The page's path.</returns>
    public string SavePage()
    {
        var found = Catalogue.All.Select(e => (Experiment: e, Shown: Load(e))).ToArray();
        ExperimentResult[] results = [.. found.Where(f => f.Shown is not null).Select(f => f.Shown!.Result)];
        _output.Save("table.md", path => File.WriteAllText(path, $"{MarkdownTable.Write(results)}\n{MarkdownTable.Count(results)}\n"));
        return _output.Save("index.html", path => File.WriteAllText(path, Page.Write(found)));
    }

    /// <summary>What an experiment left here; null: nothing yet, or nothing that this version can read.</summary>
    public Shown? Load(IExperiment experiment)
    {
        try
        {
            var result = ExperimentResult.FromJson(File.ReadAllText(Path.Combine(folder.FullName, experiment.Name + ".json")));
            return new Shown(result, Read(Small(experiment.Name)), [.. Enumerable.Range(0, result.Pictures).Select(i => Read(Large(experiment.Name, i)))]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    private static string Small(string name) => name + ".png";

    private static string Large(string name, int picture) => $"{name}-{picture + 1}.png";

    private static string RecordOf(IExperiment experiment) => experiment.Name + ".runs.json";

    private byte[] Read(string name) => File.ReadAllBytes(Path.Combine(folder.FullName, name));
}

/// <summary>A result and its pictures as PNG: the first of them small, and all.</summary>
internal sealed record Shown(ExperimentResult Result, byte[] Small, IReadOnlyList<byte[]> Pictures);
