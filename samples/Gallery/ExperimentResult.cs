using System.Text.Json;
using System.Text.Json.Serialization;

namespace Gallery;

/// <summary>An experiment's result as it stands in its JSON file; the picture stands beside it.</summary>
internal sealed record ExperimentResult(
    int Number, string Name, string Title, string Claim, string Source, string SetUp, bool Short, IReadOnlyList<int> Seeds,
    IReadOnlyList<Check> Checks, IReadOnlyList<ResultTable> Tables, string Note, DateTimeOffset Date, double Seconds, string Machine)
{
    private static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public bool Holds => Checks.Count > 0 && Checks.All(check => check.Holds);

    /// <summary>“holds” or “does not hold here”, and that it was a short run if it was.</summary>
    public string Verdict => (Holds ? "holds" : "does not hold here") + (Short ? $" (short run, {Seeds.Count} seed{(Seeds.Count == 1 ? "" : "s")})" : "");

    public static ExperimentResult Of(IExperiment experiment, Lab lab, Finding finding, TimeSpan took) => new(
        experiment.Number, experiment.Name, experiment.Title, experiment.Claim, experiment.Source, experiment.SetUp(lab), lab.Quick, lab.Seeds,
        finding.Checks, finding.Tables, finding.Note, DateTimeOffset.UtcNow, took.TotalSeconds, RunsOn.Describe());

    public string ToJson() => JsonSerializer.Serialize(this, Json);

    /// <exception cref="JsonException">Not a result's JSON.</exception>
    public static ExperimentResult FromJson(string json) => JsonSerializer.Deserialize<ExperimentResult>(json, Json) ?? throw new JsonException("null");
}
