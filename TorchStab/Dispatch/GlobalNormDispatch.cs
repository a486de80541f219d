namespace TorchStab.Dispatch;

/// <summary>Norms of many tensors in one pass, for those that have a kernel.</summary>
internal static unsafe class GlobalNormDispatch
{
    /// <summary>Fills in ‖tensorᵢ‖ₚ where there is a kernel for it, and returns the indices where there is none, or null where there is one for all.</summary>
    public static List<int>? Norms(ReadOnlySpan<TensorView> tensors, double order, Span<double> norms)
    {
        var pass = NormPass.Start();
        List<int>? rest = null;
        for (int i = 0; i < tensors.Length; i++)
        {
            ref readonly var tensor = ref tensors[i];
            var kernel = KernelSelection.Enabled && tensor.Dense ? NormKernels.For(tensor.Dtype, order) : null;
            if (kernel == null) (rest ??= []).Add(i);
            pass.Add(kernel == null ? null : tensor.Data, tensor.Count, kernel);
        }
        var results = pass.Run(max: double.IsPositiveInfinity(order));
        for (int i = 0; i < results.Length; i++) norms[i] = order == 2 ? Math.Sqrt(results[i]) : results[i];
        return rest;
    }
}
