using System.Globalization;
using TorchStab.Initialization;

namespace TorchStab;

/// <summary>How one parameter was initialized.</summary>
/// <param name="Parameter">The parameter's name in the model.</param>
/// <param name="Scheme">The scheme and the reason for it, such as “He normal (before ReLU)”.</param>
/// <param name="Fan">The fan by which the variance was divided; null if the scheme uses none.</param>
/// <param name="StdAsked">The standard deviation of the scheme; null for constants.</param>
/// <param name="StdMeasured">The standard deviation of the values that were drawn; NaN for fewer than two elements.</param>
public sealed record InitializationEntry(string Parameter, string Scheme, double? Fan, double? StdAsked, double StdMeasured);

/// <summary>A parameter that was not initialized.</summary>
/// <param name="Parameter">The name in the model of the parameter that was left alone.</param>
/// <param name="Layer">The type of the module that holds it.</param>
public sealed record UntouchedParameter(string Parameter, string Layer)
{
    /// <summary>Why it was not initialized; empty if the kind of its layer is unknown.</summary>
    public string Reason { get; init; } = "";
}

/// <summary>What <c>initialize_</c> did with every parameter of a model; <see cref="ToString"/> returns a table.</summary>
/// <param name="Entries">The parameters that were initialized, in the model's order.</param>
/// <param name="Untouched">The parameters that were not initialized.</param>
public sealed record InitializationReport(IReadOnlyList<InitializationEntry> Entries, IReadOnlyList<UntouchedParameter> Untouched)
{
    /// <summary>Guesses, layers about which nothing is known, unregistered modules, and what to do about them; a sentence each.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>A table of the entries, followed by the parameters that were not initialized and by the notes.</summary>
    public override string ToString()
    {
        var table = new TextTable("parameter", "scheme", "fan", "std asked", "std measured");
        foreach (var e in Entries) table.Add(e.Parameter, e.Scheme, Number(e.Fan), Number(e.StdAsked), Number(e.StdMeasured));
        return table + string.Concat(Untouched.Select(Line)) + string.Concat(Notes.Select(n => $"note: {n}{Environment.NewLine}"));
    }

    private static string Line(UntouchedParameter untouched) =>
        $"left as it was: {untouched.Parameter} of {untouched.Layer}{(untouched.Reason.Length == 0 ? "" : $" ({untouched.Reason})")}{Environment.NewLine}";

    // A single number, or a tensor on the meta device, has no deviation: its cell is empty.
    private static string Number(double? value) => value is { } v && !double.IsNaN(v) ? v.ToString("g4", CultureInfo.InvariantCulture) : "";
}
