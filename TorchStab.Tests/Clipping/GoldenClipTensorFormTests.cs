using TorchStab.Tests.Support;

namespace TorchStab.Tests.Clipping;

/// <summary>The whole suite once more with the kernels off.</summary>
public sealed class GoldenClipTensorFormTests() : GoldenClipTests(KernelForm.TensorOps());
