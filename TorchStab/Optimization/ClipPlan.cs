using TorchStab.Clipping;

namespace TorchStab.Optimization;

/// <summary>Assigns clipping rules to gradients. Groups with the same rule are clipped together, as one set.</summary>
/// <param name="group">Returns the group of a gradient.</param>
internal sealed class ClipPlan(Func<int, int> group)
{
    private readonly List<GradientClip?> _rules = [];

    /// <summary>The rule of each group; null clips nothing.</summary>
    public List<GradientClip?> Rules => _rules;

    /// <summary>The order of the reported norm: the rule's if there is only one, otherwise 2.</summary>
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
        gradients.Reread(); // the callback of one rule may have changed gradients of another rule's group
        return new(gradients.TotalNorm(2), smallest, GradientCoefficient.Identity, coefficients);
    }

    /// <summary>Tells the rules that the step uses their decision, so that rules with a memory store it.</summary>
    public void Accept()
    {
        foreach (var rule in _rules) rule?.Accept();
    }

    private static ClipDecision Decide(GradientClip? rule, GradientSet gradients) => rule?.Decide(gradients) ?? ClipDecision.Uniform(gradients.TotalNorm(2), 1);
}
