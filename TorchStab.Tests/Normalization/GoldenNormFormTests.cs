using TorchStab.Dispatch;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Normalization;

// All that the norms are held to, in every form that they can run in.

public sealed class ChannelNormInTensorOperations() : GoldenChannelNormTests(KernelForm.TensorOps());

public sealed class ChannelNormWithFunctions() : GoldenChannelNormTests(KernelForm.Kernel(AutogradKind.Function));

public sealed class ChannelNormAt256Bits() : GoldenChannelNormTests(KernelForm.Kernel(width: VectorWidth.V256));

public sealed class ChannelNormAt128Bits() : GoldenChannelNormTests(KernelForm.Kernel(width: VectorWidth.V128));

public sealed class ChannelNormInScalars() : GoldenChannelNormTests(KernelForm.Kernel(width: VectorWidth.Scalar));

public sealed class RowNormInTensorOperations() : GoldenRowNormTests(KernelForm.TensorOps());

public sealed class RowNormWithFunctions() : GoldenRowNormTests(KernelForm.Kernel(AutogradKind.Function));

public sealed class RowNormAt256Bits() : GoldenRowNormTests(KernelForm.Kernel(width: VectorWidth.V256));

public sealed class RowNormAt128Bits() : GoldenRowNormTests(KernelForm.Kernel(width: VectorWidth.V128));

public sealed class RowNormInScalars() : GoldenRowNormTests(KernelForm.Kernel(width: VectorWidth.Scalar));
