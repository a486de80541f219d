using System.Globalization;
using TorchStab.Initialization;

namespace TorchStab;

/// <summary>What LSUV did to one layer.</summary>
/// <param name="Layer">Its name in the model.</param>
/// <param name="VarianceBefore">The variance of its output with orthogonal weights.</param>
/// <param name="VarianceAfter">The variance in the end.</param>
/// <param name="Iterations">How often its weight was rescaled.</param>
/// <param name="Converged">Whether the variance came within the tolerance of 1; never for an output that is constant or not finite.</param>
public sealed record LsuvEntry(string Layer, double VarianceBefore, double VarianceAfter, int Iterations, bool Converged)
{
    /// <summary>
    /// The layer (or the parameter of another module, as <c>wte.weight</c>) that has the same weight and was reached first; null, the default, where
    /// there is none. Such a weight is not rescaled for the second layer: that would change what the first one puts out.
    /// </summary>
    public string? SharesWeightOf { get; init; }
}

/// <summary>Every linear layer and convolution of a model under LSUV; <see cref="ToString"/> prints a table.</summary>
/// <param name="Entries">The layers in the order in which the batch reached them.</param>
/// <param name="Unreached">
/// Layers that kept their orthogonal weights because the batch did not come through them, or their module runs them by <c>forward</c>
/// instead of <c>call</c>, which fires no hook.
/// </param>
public sealed record LsuvReport(IReadOnlyList<LsuvEntry> Entries, IReadOnlyList<string> Unreached)
{
    /// <summary>Modules that the model holds without having registered them. A sentence each.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>A table of the layers, followed by those that were not reached and by the notes.</summary>
    public override string ToString()
    {
        var table = new TextTable("layer", "converged", "variance before", "variance after", "iterations");
        foreach (var e in Entries)
            table.Add(e.SharesWeightOf is null ? e.Layer : $"{e.Layer} (weight of {e.SharesWeightOf})", e.Converged ? "yes" : "NO", Number(e.VarianceBefore), Number(e.VarianceAfter), $"{e.Iterations}");
        return table + string.Concat(Unreached.Select(name => $"not reached: {name}{Environment.NewLine}")) + string.Concat(Notes.Select(n => $"note: {n}{Environment.NewLine}"));
    }

    private static string Number(double value) => value.ToString("g4", CultureInfo.InvariantCulture);
}
