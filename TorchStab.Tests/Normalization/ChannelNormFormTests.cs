using TorchStab.Dispatch;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Normalization;

// Everything that BatchNorm and InstanceNorm are held to, in every form that they can run in.

public sealed class ChannelNormInTensorOperations : GoldenChannelNormTests, IDisposable
{
    private readonly KernelForm _form = KernelForm.TensorOps();

    public void Dispose() => _form.Dispose();
}

public sealed class ChannelNormWithFunctions : GoldenChannelNormTests, IDisposable
{
    private readonly KernelForm _form = KernelForm.Kernel(AutogradKind.Function);

    public void Dispose() => _form.Dispose();
}

public sealed class ChannelNormAt256Bits : GoldenChannelNormTests, IDisposable
{
    private readonly KernelForm _form = KernelForm.Kernel(width: VectorWidth.V256);

    public void Dispose() => _form.Dispose();
}

public sealed class ChannelNormAt128Bits : GoldenChannelNormTests, IDisposable
{
    private readonly KernelForm _form = KernelForm.Kernel(width: VectorWidth.V128);

    public void Dispose() => _form.Dispose();
}

public sealed class ChannelNormInScalars : GoldenChannelNormTests, IDisposable
{
    private readonly KernelForm _form = KernelForm.Kernel(width: VectorWidth.Scalar);

    public void Dispose() => _form.Dispose();
}
