using System.Globalization;
using TorchStab.Initialization;

namespace TorchStab;

/// <summary>What was done to one parameter.</summary>
/// <param name="Parameter">Its name in the model.</param>
/// <param name="Scheme">The scheme and the reason for it, such as “He normal (before ReLU)”.</param>
/// <param name="Fan">The number that scaled the variance; null where none does.</param>
/// <param name="StdAsked">The standard deviation asked for; null for constants.</param>
/// <param name="StdMeasured">The standard deviation found afterwards; NaN for fewer than two elements.</param>
public sealed record InitializationEntry(string Parameter, string Scheme, double? Fan, double? StdAsked, double StdMeasured);

/// <summary>A parameter that was left as it was.</summary>
/// <param name="Parameter">Its name in the model.</param>
/// <param name="Layer">The type of the module that holds it.</param>
public sealed record UntouchedParameter(string Parameter, string Layer)
{
    /// <summary>Why; empty where nothing is known about its layer.</summary>
    public string Reason { get; init; } = "";
}

/// <summary>Every parameter of a model, initialized or not; <see cref="ToString"/> prints a table.</summary>
/// <param name="Entries">The parameters initialized, in the model's order.</param>
/// <param name="Untouched">Those that were left as they were.</param>
public sealed record InitializationReport(IReadOnlyList<InitializationEntry> Entries, IReadOnlyList<UntouchedParameter> Untouched)
{
    /// <summary>Guesses that were made, what was not known, modules that are not registered, and how to tell it otherwise. A sentence each.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>A table of the entries, followed by what was left untouched and by the notes.</summary>
    public override string ToString()
    {
        var table = new TextTable("parameter", "scheme", "fan", "std asked", "std measured");
        foreach (var e in Entries) table.Add(e.Parameter, e.Scheme, Number(e.Fan), Number(e.StdAsked), Number(e.StdMeasured));
        string untouched = string.Concat(Untouched.Select(u => $"left as it was: {u.Parameter} of {u.Layer}{(u.Reason.Length == 0 ? "" : $" ({u.Reason})")}{Environment.NewLine}"));
        return table + untouched + string.Concat(Notes.Select(n => $"note: {n}{Environment.NewLine}"));
    }

    // Of a single number, or of one on the meta device, there is no deviation to print.
    private static string Number(double? value) => value is { } v && !double.IsNaN(v) ? v.ToString("g4", CultureInfo.InvariantCulture) : "";
}
