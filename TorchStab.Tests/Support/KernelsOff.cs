using TorchStab.Dispatch;

namespace TorchStab.Tests.Support;

/// <summary>Everything in tensor-op form while it lives. Test collections run one after the other, so nobody else notices.</summary>
internal sealed class KernelsOff : IDisposable
{
    private readonly KernelMode _before = KernelSelection.Mode;

    public KernelsOff() => KernelSelection.Mode = KernelMode.Off;

    public void Dispose() => KernelSelection.Mode = _before;
}
