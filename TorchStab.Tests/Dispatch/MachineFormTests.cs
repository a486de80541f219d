using System.Globalization;
using System.Text.RegularExpressions;
using TorchStab.Dispatch;
using TorchStab.Tests.Normalization;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Dispatch;

/// <summary>
/// The golden norm suites on lesser machines: child processes whose runtime lacks instructions, where code is compiled that this process
/// never runs, with the settings that a user can make. A child first shows that it is what it was asked to be.
/// </summary>
public partial class MachineFormTests
{
    private const string Asked = "TORCHSTAB_TESTS_ASKED";
    private static readonly string[] Settings = ["TORCHSTAB_VECTORS", "TORCHSTAB_KERNELS", "TORCHSTAB_AUTOGRAD", "TORCHSTAB_THREADS"];

    [Theory]
    [InlineData("DOTNET_EnableAVX512", 256, true, false)]
    [InlineData("DOTNET_EnableAVX2", 128, true, true)]
    [InlineData("DOTNET_EnableHWIntrinsic", 0, true, false)]
    [InlineData(null, 512, false, false)]
    public void Golden_norms_hold_without(string? lacking, int width, bool kernels, bool pooled)
    {
        var (mode, kind) = (kernels ? KernelMode.Auto : KernelMode.Off, pooled ? AutogradKind.Pooled : AutogradKind.Function);
        width = Math.Min(width, (int)KernelForm.Widest);
        (string, string?)[] environment =
        [
            .. Settings.Select(name => (name, (string?)null)), ("TORCHSTAB_KERNELS", mode.ToString()), ("TORCHSTAB_AUTOGRAD", kind.ToString()),
            (Asked, Form(width, mode, kind)), (lacking ?? "DOTNET_EnableAVX512", lacking is null ? null : "0"),
        ];
        string[] classes = [typeof(GoldenChannelNormTests).FullName!, typeof(GoldenRowNormTests).FullName!, $"{typeof(MachineFormTests).FullName}.{nameof(Is_what_was_asked)}"];
        var (exitCode, output) = DotNet.Run(AppContext.BaseDirectory, environment,
            ["vstest", typeof(MachineFormTests).Assembly.Location, "--TestCaseFilter:" + string.Join('|', classes.Select(name => $"FullyQualifiedName~{name}"))]);
        Assert.True(exitCode == 0, $"without {lacking}, kernels {mode}, plug {kind}:\n{output}");
        Assert.True(int.Parse(Passed().Match(output).Groups[1].Value, CultureInfo.InvariantCulture) > 100, output);
    }

    [Fact]
    public void Is_what_was_asked()
    {
        if (Environment.GetEnvironmentVariable(Asked) is { } asked)
            Assert.Equal(asked, Form((int)KernelSelection.Width, KernelSelection.Mode, AutogradPlug.Kind));
    }

    private static string Form(int width, KernelMode mode, AutogradKind kind) => $"{width} bits, kernels {mode}, plug {kind}";

    [GeneratedRegex(@"Passed: +(\d+)")]
    private static partial Regex Passed();
}
