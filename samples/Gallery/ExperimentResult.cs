using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Gallery;

/// <summary>What becomes of a claim.</summary>
internal enum Outcome
{
    /// <summary>Every check says yes.</summary>
    Holds,

    /// <summary>The main check says yes, some other does not.</summary>
    HoldsInPart,

    /// <summary>The main check says no: the contrary was measured.</summary>
    DoesNotHold,

    /// <summary>The main check tells neither.</summary>
    Undecided,
}

/// <summary>An experiment's result as it stands in its JSON file; the pictures stand beside it. The first check is the main one; seconds are the
/// processor's.</summary>
internal sealed record ExperimentResult(
    int Number, string Name, string Title, string Claim, IReadOnlyList<Paper> Sources, string SetUp, bool Short, IReadOnlyList<int> Seeds,
    IReadOnlyList<Check> Checks, IReadOnlyList<ResultTable> Tables, int Pictures, string Note, DateTimeOffset Date, double Seconds, string Machine)
{
    /// <summary>JSON on one line.</summary>
    public static readonly JsonSerializerOptions Lines = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new JsonStringEnumConverter() },
        IgnoreReadOnlyProperties = true,
    };

    private static readonly JsonSerializerOptions Json = new(Lines) { WriteIndented = true };

    [JsonIgnore]
    public Outcome Outcome => Checks[0].Answer switch
    {
        Answer.No => Outcome.DoesNotHold,
        Answer.Undecided => Outcome.Undecided,
        _ => Checks.All(check => check.Answer == Answer.Yes) ? Outcome.Holds : Outcome.HoldsInPart,
    };

    /// <summary>The verdict in words, with how many checks say yes, and that it was a short run if it was.</summary>
    [JsonIgnore]
    public string Words => Outcome switch
    {
        Outcome.Holds => "holds",
        Outcome.HoldsInPart => $"holds in part ({Checks.Count(check => check.Answer == Answer.Yes)} of {Checks.Count})",
        Outcome.DoesNotHold => "does not hold",
        _ => "undecided",
    } + (Short ? $" (short run, {Seeds.Count} seed{(Seeds.Count == 1 ? "" : "s")})" : "");

    public static ExperimentResult Of(IExperiment experiment, Lab lab, Finding finding, Record record) => new(
        experiment.Number, experiment.Name, experiment.Title, experiment.Claim, experiment.Sources, experiment.SetUp(lab), record.Short, record.Seeds,
        [finding.Main, .. finding.Others], finding.Tables, finding.Pictures.Count, finding.Note, record.Date, record.Seconds, record.Machine);

    public string ToJson() => JsonSerializer.Serialize(this, Json);

    /// <exception cref="JsonException">Not a result's JSON.</exception>
    public static ExperimentResult FromJson(string json)
    {
        var result = JsonSerializer.Deserialize<ExperimentResult>(json, Json);
        return result is { Checks.Count: > 0, Sources: not null } ? result : throw new JsonException("no checks");
    }
}
