namespace TorchStab.Dispatch;

/// <summary>Computes the norms of many tensors in one pass, if a kernel supports their dtype and the norm's order.</summary>
internal static unsafe class GlobalNormLaunch
{
    /// <summary>Writes ‖tensorᵢ‖ₚ for each tensor that has a kernel. Returns the indices of the others, or null if there are none.</summary>
    public static List<int>? Norms(ReadOnlySpan<TensorView> tensors, double order, Span<double> norms)
    {
        var pass = ReductionLaunch.Start();
        List<int>? rest = null;
        for (int i = 0; i < tensors.Length; i++)
        {
            ref readonly var tensor = ref tensors[i];
            var kernel = KernelSelection.Enabled && tensor.Dense ? ReductionKernels.For(tensor.Dtype, order) : null;
            if (kernel == null) (rest ??= []).Add(i);
            pass.Add(kernel == null ? null : tensor.Data, tensor.Count, kernel);
        }
        var results = pass.Run(max: double.IsPositiveInfinity(order));
        for (int i = 0; i < results.Length; i++) norms[i] = order == 2 ? Math.Sqrt(results[i]) : results[i];
        return rest;
    }
}
