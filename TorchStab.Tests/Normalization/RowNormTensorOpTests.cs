using TorchStab.Tests.Support;

namespace TorchStab.Tests.Normalization;

// The same in tensor operations, where the classes above them take the kernels.

public sealed class LayerNormInTensorOperations : LayerNormFunctionalTests, IDisposable
{
    private readonly KernelForm _form = KernelForm.TensorOps();

    public void Dispose() => _form.Dispose();
}

public sealed class GroupNormInTensorOperations : GroupNormFunctionalTests, IDisposable
{
    private readonly KernelForm _form = KernelForm.TensorOps();

    public void Dispose() => _form.Dispose();
}

public sealed class RMSNormInTensorOperations : RMSNormFunctionalTests, IDisposable
{
    private readonly KernelForm _form = KernelForm.TensorOps();

    public void Dispose() => _form.Dispose();
}
