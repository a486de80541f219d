using TorchStab.Dispatch;

namespace TorchStab.Tests.Support;

/// <summary>Forces one form of every op for as long as it is not disposed: kernels on or off, the autograd plug, the vector width.</summary>
internal sealed class KernelForm : IDisposable
{
    // In a process that was asked for native operations all tests of kernels run on these.
    private static readonly KernelMode Fused = Setting.Read("Kernels", KernelMode.Auto) == KernelMode.Native ? KernelMode.Native : KernelMode.Auto;

    private readonly KernelMode _mode = KernelSelection.Mode;
    private readonly AutogradKind _kind = AutogradPlug.Kind;
    private readonly VectorWidth _width = KernelSelection.Width;

    private KernelForm(KernelMode mode, AutogradKind kind, VectorWidth width)
    {
        KernelSelection.Mode = mode;
        AutogradPlug.Kind = kind;
        KernelSelection.Width = width;
    }

    /// <summary>Every width that this machine has kernels for, the widest first.</summary>
    public static IEnumerable<VectorWidth> Widths => Enum.GetValues<VectorWidth>().Where(w => w <= Widest).OrderDescending();

    public static VectorWidth Widest { get; } = KernelSelection.Width;

    public static KernelForm TensorOps() => new(KernelMode.Off, AutogradPlug.Kind, Widest);

    /// <summary>libtorch's fused operations for the norms.</summary>
    public static KernelForm Native(AutogradKind? kind = null) => new(KernelMode.Native, kind ?? AutogradPlug.Kind, Widest);

    /// <summary>Kernels, of the widest vectors and with this process' autograd plug unless others are asked for.</summary>
    public static KernelForm Kernel(AutogradKind? kind = null, VectorWidth? width = null)
    {
        kind ??= AutogradPlug.Kind;
        var form = new KernelForm(Fused, kind.Value, width is { } w && w < Widest ? w : Widest);
        Assert.Equal(kind, AutogradPlug.Kind);
        return form;
    }

    public void Dispose()
    {
        KernelSelection.Mode = _mode;
        AutogradPlug.Kind = _kind;
        KernelSelection.Width = _width;
    }
}
