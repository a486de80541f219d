using TorchStab.Clipping;

namespace TorchStab.Optimization;

/// <summary>Which rule decides about which gradients: groups with one rule are clipped together, as one set.</summary>
/// <param name="group">The group of a gradient.</param>
internal sealed class ClipPlan(Func<int, int> group)
{
    private readonly List<GradientClip?> _rules = [];

    /// <summary>The rule of each group; null clips nothing.</summary>
    public List<GradientClip?> Rules => _rules;

    /// <summary>The order of the norm that is reported: the rule's, if there is only one.</summary>
    public double Order => HasOneRule ? _rules[0]?.Order ?? 2 : 2;

    private bool HasOneRule
    {
        get
        {
            foreach (var rule in _rules)
                if (!ReferenceEquals(rule, _rules[0])) return false;
            return true;
        }
    }

    public ClipDecision Decide(GradientSet gradients)
    {
        if (HasOneRule) return Decide(_rules[0], gradients);
        var coefficients = new GradientCoefficient[gradients.Count];
        double smallest = 1;
        foreach (var byRule in Enumerable.Range(0, gradients.Count).ToLookup(i => _rules[group(i)]))
        {
            int[] indices = [.. byRule];
            using var subset = gradients.Subset(indices);
            var decision = Decide(byRule.Key, subset);
            smallest = Math.Min(smallest, decision.Coefficient);
            for (int i = 0; i < indices.Length; i++) coefficients[indices[i]] = decision[i];
        }
        gradients.Reread(); // a rule's callback may have moved what another rule's group holds
        return new(gradients.TotalNorm(2), smallest, GradientCoefficient.Identity, coefficients);
    }

    /// <summary>The decision is carried out: rules with a memory remember it.</summary>
    public void Accept()
    {
        foreach (var rule in _rules) rule?.Accept();
    }

    private static ClipDecision Decide(GradientClip? rule, GradientSet gradients) => rule?.Decide(gradients) ?? ClipDecision.Uniform(gradients.TotalNorm(2), 1);
}
