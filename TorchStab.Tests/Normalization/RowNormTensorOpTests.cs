using TorchStab.Tests.Support;

namespace TorchStab.Tests.Normalization;

// The same in tensor operations, where the classes above them take the kernels.

public sealed class LayerNormInTensorOperations() : LayerNormFunctionalTests(KernelForm.TensorOps());

public sealed class GroupNormInTensorOperations() : GroupNormFunctionalTests(KernelForm.TensorOps());

public sealed class RMSNormInTensorOperations() : RMSNormFunctionalTests(KernelForm.TensorOps());
