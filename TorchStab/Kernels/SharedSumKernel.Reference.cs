namespace TorchStab.Kernels;

internal static partial class SharedSumKernel
{
    /// <summary>The definition: each element's sum over the ranks, in their order.</summary>
    public static class Reference
    {
        public static double[] Add(double[][] terms, Func<double, double> round)
        {
            double[] sums = [.. terms[0]];
            foreach (double[] term in terms[1..])
                for (int i = 0; i < sums.Length; i++) sums[i] = round(sums[i] + term[i]);
            return sums;
        }
    }
}
