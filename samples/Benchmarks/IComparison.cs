namespace TorchStab.Benchmarks;

/// <summary>
/// One operation measured against libtorch's: a class of this kind in Comparisons/ with a parameterless constructor is found by itself.
/// </summary>
internal interface IComparison
{
    /// <summary>What <c>--only</c> matches.</summary>
    string Name { get; }

    /// <summary>Its cases, made one at a time and disposed after they are measured; a few small ones where <paramref name="quick"/>.</summary>
    IEnumerable<Pair> Cases(bool quick);
}

/// <summary>The two sides of one case.</summary>
/// <param name="Case">What is measured, on which shapes.</param>
/// <param name="Libtorch">One call of TorchSharp's.</param>
/// <param name="Ours">The same of TorchStab's.</param>
/// <param name="Bytes">Memory that the operation must at least move, for its share of the copy bandwidth.</param>
/// <param name="AtLeast">The ratio that must be reached, if there is a target.</param>
/// <param name="Aim">The ratio aimed at.</param>
/// <param name="Verify">Throws when the two sides disagree; run before the measurement.</param>
/// <param name="Peak">The most memory that libtorch's side, then ours, takes beyond what was there; null where it cannot be measured.</param>
/// <param name="Release">Frees what the case holds.</param>
internal sealed record Pair(string Case, Action Libtorch, Action Ours, long Bytes, double? AtLeast = null, double? Aim = null, Action? Verify = null,
    Action? Release = null,
    Func<(long Libtorch, long Ours)?>? Peak = null)
    : IDisposable
{
    public void Dispose() => Release?.Invoke();
}
