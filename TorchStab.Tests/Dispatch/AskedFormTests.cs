using TorchStab.Dispatch;

namespace TorchStab.Tests.Dispatch;

/// <summary>What a process shows that <see cref="MachineFormTests"/> starts. Not beside tests that force another form for a while.</summary>
public class AskedFormTests
{
    [Fact]
    public void The_process_is_what_was_asked()
    {
        if (Environment.GetEnvironmentVariable(MachineFormTests.Asked) is { } asked)
            Assert.Equal(asked, MachineFormTests.Form((int)KernelSelection.Width, KernelSelection.Mode, AutogradPlug.Kind, HugePages.IsActive));
    }
}
