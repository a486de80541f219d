using System.Text.RegularExpressions;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>
/// Says which function follows certain layers, for models whose order of execution cannot be read from a Sequential. Of several rules
/// that match, the first counts; a rule goes before what a Sequential shows.
/// </summary>
public sealed class InitializationRule
{
    private readonly Func<string, IReadOnlyList<nn.Module>, bool> _matches;

    private InitializationRule(Func<string, IReadOnlyList<nn.Module>, bool> matches, Nonlinearity nonlinearity, double slope)
    {
        if (!Enum.IsDefined(nonlinearity)) throw new ArgumentException($"Unsupported nonlinearity {nonlinearity}", nameof(nonlinearity));
        (_matches, Nonlinearity, Slope) = (matches, nonlinearity, slope);
    }

    /// <summary>The function that follows.</summary>
    public Nonlinearity Nonlinearity { get; }

    /// <summary>Leaky ReLU's negative slope.</summary>
    public double Slope { get; }

    /// <summary>Layers whose name in the model matches a pattern.</summary>
    /// <param name="pattern">A name such as <c>features.0</c>; <c>*</c> stands for any characters, <c>?</c> for one.</param>
    /// <param name="nonlinearity">The function that follows them.</param>
    /// <param name="slope">Leaky ReLU's negative slope. Default: 0.01.</param>
    /// <returns>The rule.</returns>
    public static InitializationRule ForName(string pattern, Nonlinearity nonlinearity, double slope = 0.01)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        string expression = Regex.Escape(pattern).Replace("\\*", ".*", StringComparison.Ordinal).Replace("\\?", ".", StringComparison.Ordinal);
        var regex = new Regex($"^{expression}$", RegexOptions.CultureInvariant | RegexOptions.Singleline);
        return new((name, _) => regex.IsMatch(name), nonlinearity, slope);
    }

    /// <summary>Layers of a type, and every layer inside a module of that type: <c>ForType&lt;BasicBlock&gt;(Nonlinearity.ReLU)</c>.</summary>
    /// <typeparam name="TModule">The type of the layer or of a module around it.</typeparam>
    /// <param name="nonlinearity">The function that follows them.</param>
    /// <param name="slope">Leaky ReLU's negative slope. Default: 0.01.</param>
    /// <returns>The rule.</returns>
    public static InitializationRule ForType<TModule>(Nonlinearity nonlinearity, double slope = 0.01) where TModule : nn.Module =>
        new((_, path) => path.Any(m => m is TModule), nonlinearity, slope);

    /// <summary>Layers that a predicate picks by name and module.</summary>
    /// <param name="predicate">Takes the layer's name and the layer.</param>
    /// <param name="nonlinearity">The function that follows them.</param>
    /// <param name="slope">Leaky ReLU's negative slope. Default: 0.01.</param>
    /// <returns>The rule.</returns>
    public static InitializationRule When(Func<string, nn.Module, bool> predicate, Nonlinearity nonlinearity, double slope = 0.01)
    {
        ArgumentNullException.ThrowIfNull(predicate);
        return new((name, path) => predicate(name, path[^1]), nonlinearity, slope);
    }

    internal bool Matches(string name, IReadOnlyList<nn.Module> path) => _matches(name, path);
}
