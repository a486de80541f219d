namespace TorchStab.Kernels;

internal static partial class ConstantKernel
{
    /// <summary>The definition, for one byte after the other.</summary>
    public static class Reference
    {
        public static void Clear(Span<byte> target)
        {
            foreach (ref byte b in target) b = 0;
        }
    }
}
