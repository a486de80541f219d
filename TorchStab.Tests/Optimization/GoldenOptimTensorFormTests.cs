using TorchStab.Tests.Support;

namespace TorchStab.Tests.Optimization;

/// <summary>The whole suite once more with the kernels off.</summary>
public sealed class GoldenOptimTensorFormTests() : GoldenOptimTests(KernelForm.TensorOps());
