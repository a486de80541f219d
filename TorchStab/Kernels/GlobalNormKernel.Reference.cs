namespace TorchStab.Kernels;

internal static partial class GlobalNormKernel
{
    /// <summary>The definitions, for one element after the other.</summary>
    public static class Reference
    {
        public static double SumOfSquares(ReadOnlySpan<double> x)
        {
            double sum = 0;
            foreach (double e in x) sum += e * e;
            return sum;
        }

        public static double SumOfMagnitudes(ReadOnlySpan<double> x)
        {
            double sum = 0;
            foreach (double e in x) sum += Math.Abs(e);
            return sum;
        }

        public static double MaxMagnitude(ReadOnlySpan<double> x)
        {
            double max = 0;
            foreach (double e in x) max = Math.Max(max, Math.Abs(e)); // Math.Max keeps NaN
            return max;
        }

        public static double NonZero(ReadOnlySpan<double> x)
        {
            double count = 0;
            foreach (double e in x) count += e != 0 ? 1 : 0; // NaN is not zero
            return count;
        }

        public static double Sum(ReadOnlySpan<double> x)
        {
            double sum = 0;
            foreach (double e in x) sum += e;
            return sum;
        }
    }
}
