namespace TorchStab.Kernels;

internal static partial class BucketKernel
{
    /// <summary>The definition, for one element after the other.</summary>
    public static class Reference
    {
        public static bool Gather(ReadOnlySpan<double> source, Span<double> target)
        {
            for (int i = 0; i < source.Length; i++) target[i] = source[i];
            return IsFinite(source);
        }

        public static bool IsFinite(ReadOnlySpan<double> elements)
        {
            foreach (double x in elements) if (!double.IsFinite(x)) return false;
            return true;
        }
    }
}
