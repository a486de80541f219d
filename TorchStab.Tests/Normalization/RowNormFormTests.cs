using TorchStab.Dispatch;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Normalization;

// Everything that LayerNorm, RMSNorm and GroupNorm are held to, in every form that they can run in.

public sealed class RowNormInTensorOperations : GoldenRowNormTests, IDisposable
{
    private readonly KernelForm _form = KernelForm.TensorOps();

    public void Dispose() => _form.Dispose();
}

public sealed class RowNormWithFunctions : GoldenRowNormTests, IDisposable
{
    private readonly KernelForm _form = KernelForm.Kernel(AutogradKind.Function);

    public void Dispose() => _form.Dispose();
}

public sealed class RowNormAt256Bits : GoldenRowNormTests, IDisposable
{
    private readonly KernelForm _form = KernelForm.Kernel(width: VectorWidth.V256);

    public void Dispose() => _form.Dispose();
}

public sealed class RowNormAt128Bits : GoldenRowNormTests, IDisposable
{
    private readonly KernelForm _form = KernelForm.Kernel(width: VectorWidth.V128);

    public void Dispose() => _form.Dispose();
}

public sealed class RowNormInScalars : GoldenRowNormTests, IDisposable
{
    private readonly KernelForm _form = KernelForm.Kernel(width: VectorWidth.Scalar);

    public void Dispose() => _form.Dispose();
}
