namespace TorchStab.Tests.Kernels;

/// <summary>Random arguments of the kernels of a step, and their comparison.</summary>
internal static class KernelValues
{
    public static double[] Normal(Random random, int n, double scale = 1) =>
        [.. Enumerable.Range(0, n).Select(_ => scale * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()))];

    public static double[] Positive(Random random, int n) => [.. Enumerable.Range(0, n).Select(_ => random.NextDouble() + 0.01)];

    public static void Close(double[] expected, double[] actual, double tolerance, string what)
    {
        for (int i = 0; i < expected.Length; i++)
        {
            bool same = expected[i].Equals(actual[i]) || Math.Abs(expected[i] - actual[i]) <= tolerance * Math.Max(1, Math.Abs(expected[i]));
            Assert.True(same, $"{what}[{i}] of {expected.Length}: {actual[i]:g9}, expected {expected[i]:g9}");
        }
    }
}
