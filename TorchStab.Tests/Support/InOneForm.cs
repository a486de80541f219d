namespace TorchStab.Tests.Support;

/// <summary>
/// Tests that a derived class runs once more in another form of the operations. Test collections run one after the other, so nobody else notices.
/// </summary>
public abstract class InOneForm : IDisposable
{
    private readonly KernelForm? _form;

    private protected InOneForm(KernelForm? form) => _form = form;

    public void Dispose()
    {
        _form?.Dispose();
        GC.SuppressFinalize(this);
    }
}
