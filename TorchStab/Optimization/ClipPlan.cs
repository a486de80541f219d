using TorchStab.Clipping;

namespace TorchStab.Optimization;

/// <summary>Which rule decides about which gradients: groups with one rule are clipped together, as one set.</summary>
/// <param name="rules">The rule of each group; null clips nothing.</param>
/// <param name="groups">The group of each gradient.</param>
internal sealed class ClipPlan(IReadOnlyList<GradientClip?> rules, IReadOnlyList<int> groups)
{
    /// <summary>The order of the norm that is reported: the rule's, if there is only one.</summary>
    public double Order => rules.Distinct().Count() == 1 ? rules[0]?.Order ?? 2 : 2;

    public ClipDecision Decide(GradientSet gradients)
    {
        if (rules.Distinct().Count() == 1) return Decide(rules[0], gradients);
        var coefficients = new GradientCoefficient[gradients.Count];
        double smallest = 1;
        foreach (var byRule in Enumerable.Range(0, gradients.Count).ToLookup(i => rules[groups[i]]))
        {
            int[] indices = [.. byRule];
            var decision = Decide(byRule.Key, gradients.Subset(indices));
            smallest = Math.Min(smallest, decision.Coefficient);
            for (int i = 0; i < indices.Length; i++) coefficients[indices[i]] = decision.Coefficients[i];
        }
        return new(gradients.TotalNorm(2), smallest, coefficients);
    }

    private static ClipDecision Decide(GradientClip? rule, GradientSet gradients) =>
        rule?.Decide(gradients) ?? ClipDecision.Uniform(gradients.TotalNorm(2), 1, gradients.Count);
}
