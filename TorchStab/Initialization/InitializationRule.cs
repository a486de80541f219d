using System.Text.RegularExpressions;
using static TorchSharp.torch;

namespace TorchStab;

/// <summary>
/// States which function follows certain layers, for models whose order of execution no Sequential shows. If several rules match a layer, the first one
/// applies; a rule overrides what a Sequential shows.
/// </summary>
public sealed class InitializationRule
{
    private readonly Func<string, IReadOnlyList<nn.Module>, bool> _matches;

    private InitializationRule(Func<string, IReadOnlyList<nn.Module>, bool> matches, Nonlinearity nonlinearity, double slope)
    {
        if (!Enum.IsDefined(nonlinearity)) throw new ArgumentException($"Unsupported nonlinearity {nonlinearity}", nameof(nonlinearity));
        (_matches, Nonlinearity, Slope) = (matches, nonlinearity, slope);
    }

    /// <summary>The function that follows the layers.</summary>
    public Nonlinearity Nonlinearity { get; }

    /// <summary>The negative slope, if the function is a leaky ReLU.</summary>
    public double Slope { get; }

    /// <summary>A rule for layers whose name in the model matches a pattern.</summary>
    /// <param name="pattern">A name such as <c>features.0</c>; <c>*</c> matches any characters, <c>?</c> matches one.</param>
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

    /// <summary>A rule for layers of a type, and for every layer inside a module of that type: <c>ForType&lt;BasicBlock&gt;(Nonlinearity.ReLU)</c>.</summary>
    /// <typeparam name="TModule">The type of the layer or of a module around it.</typeparam>
    /// <param name="nonlinearity">The function that follows them.</param>
    /// <param name="slope">Leaky ReLU's negative slope. Default: 0.01.</param>
    /// <returns>The rule.</returns>
    public static InitializationRule ForType<TModule>(Nonlinearity nonlinearity, double slope = 0.01) where TModule : nn.Module =>
        new((_, path) => path.Any(m => m is TModule), nonlinearity, slope);

    /// <summary>A rule for layers for which a predicate returns true.</summary>
    /// <param name="predicate">Receives the layer's name and the layer.</param>
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
