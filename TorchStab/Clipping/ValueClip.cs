namespace TorchStab.Clipping;

/// <summary>Clamps every element to [−c, c], as clip_grad_value_ and Keras's clipvalue.</summary>
internal sealed class ValueClip(double c) : GradientClip
{
    internal override ClipDecision Decide(GradientSet gradients)
    {
        double largest = Largest(gradients);
        return new(gradients.TotalNorm(2), largest <= c ? 1 : c / largest, largest <= c ? GradientCoefficient.Identity : new(1, c));
    }

    // max |g| ≤ ‖g‖₂: only gradients whose norm exceeds the bound can have an element that does.
    private double Largest(GradientSet gradients)
    {
        double[] norms = gradients.Norms(2);
        var beyond = Enumerable.Range(0, norms.Length).Where(i => !(norms[i] <= c)).ToList();
        if (beyond.Count == 0) return 0;
        double[] largest = GradientNorms.Of([.. beyond.Select(i => gradients.Gradient(i))], double.PositiveInfinity);
        return largest.Aggregate(0.0, Math.Max) * gradients.Average;
    }
}
