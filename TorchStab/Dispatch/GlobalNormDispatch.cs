using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Norms of many tensors in one pass, for those that have a kernel.</summary>
internal static unsafe class GlobalNormDispatch
{
    /// <summary>Fills in ‖tensorᵢ‖ₚ where there is a kernel for it, and returns the indices where there is none.</summary>
    public static List<int> Norms(IReadOnlyList<Tensor> tensors, double order, Span<double> norms)
    {
        var pass = NormPass.Start();
        var rest = new List<int>();
        for (int i = 0; i < tensors.Count; i++)
        {
            var kernel = KernelSelection.Takes(tensors[i]) ? NormKernels.For(tensors[i].dtype, order) : null;
            if (kernel != null)
            {
                pass.Add(TensorMemory.Pointer<byte>(tensors[i]), LibTorch.Numel(tensors[i].Handle), kernel);
                continue;
            }
            rest.Add(i);
            pass.Add(null, 0, null);
        }
        var results = pass.Run(max: double.IsPositiveInfinity(order));
        GC.KeepAlive(tensors);
        for (int i = 0; i < results.Length; i++) norms[i] = order == 2 ? Math.Sqrt(results[i]) : results[i];
        return rest;
    }
}
