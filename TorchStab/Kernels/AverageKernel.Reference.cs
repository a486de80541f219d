namespace TorchStab.Kernels;

internal static partial class AverageKernel
{
    /// <summary>The definition, for one element after the other.</summary>
    public static class Reference
    {
        public static void Run(Span<double> average, ReadOnlySpan<double> value, double weight)
        {
            for (int i = 0; i < average.Length; i++)
                average[i] = weight < 0.5 ? average[i] + (weight * (value[i] - average[i])) : value[i] - ((value[i] - average[i]) * (1 - weight));
        }
    }
}
