using System.Globalization;
using TorchStab.Initialization;

namespace TorchStab;

/// <summary>The result of LSUV for one layer.</summary>
/// <param name="Layer">The layer's name in the model.</param>
/// <param name="VarianceBefore">The variance of its output with orthogonal weights.</param>
/// <param name="VarianceAfter">The variance of its output after the last rescaling.</param>
/// <param name="Iterations">The number of times that its weight was rescaled.</param>
/// <param name="Converged">Whether the variance is within the tolerance of 1; false for an output that is constant or not finite.</param>
public sealed record LsuvEntry(string Layer, double VarianceBefore, double VarianceAfter, int Iterations, bool Converged)
{
    /// <summary>
    /// The layer (or the parameter of another module, as <c>wte.weight</c>) that has the same weight and was reached first; null (the default) if there is
    /// none. The weight is not rescaled for the second layer, because that would change the output of the first.
    /// </summary>
    public string? SharesWeightOf { get; init; }
}

/// <summary>The result of LSUV for every linear layer and convolution of a model; <see cref="ToString"/> returns a table.</summary>
/// <param name="Entries">The layers, in the order in which the batch reached them.</param>
/// <param name="Unreached">
/// Layers that keep their orthogonal weights, because the batch did not reach them or because their module runs them by <c>forward</c> instead of
/// <c>call</c>, which runs no hooks.
/// </param>
public sealed record LsuvReport(IReadOnlyList<LsuvEntry> Entries, IReadOnlyList<string> Unreached)
{
    /// <summary>A sentence for each module that the model holds without registering it.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>A table of the layers, followed by those that were not reached and by the notes.</summary>
    public override string ToString()
    {
        var table = new TextTable("layer", "converged", "variance before", "variance after", "iterations");
        foreach (var e in Entries)
            table.Add(Name(e), e.Converged ? "yes" : "NO", Number(e.VarianceBefore), Number(e.VarianceAfter), $"{e.Iterations}");
        return table + string.Concat(Unreached.Select(name => $"not reached: {name}{Environment.NewLine}"))
            + string.Concat(Notes.Select(n => $"note: {n}{Environment.NewLine}"));
    }

    private static string Name(LsuvEntry e) => e.SharesWeightOf is null ? e.Layer : $"{e.Layer} (weight of {e.SharesWeightOf})";

    private static string Number(double value) => value.ToString("g4", CultureInfo.InvariantCulture);
}
