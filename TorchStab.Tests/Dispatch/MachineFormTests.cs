using System.Globalization;
using System.Text.RegularExpressions;
using TorchStab.Dispatch;
using TorchStab.Tests.Kernels;
using TorchStab.Tests.Normalization;
using TorchStab.Tests.Support;
using Xunit.Abstractions;

namespace TorchStab.Tests.Dispatch;

/// <summary>
/// The norms' tests on lesser machines: child processes whose runtime lacks instructions, where code is compiled that this process never runs, with
/// the settings that a user can make. A child first shows that it is what it was asked to be. Ordinarily the golden suites in four forms; with
/// TORCHSTAB_MATRIX=1 (<c>.ci/matrix</c>) all tests of the norms in every form.
/// </summary>
public partial class MachineFormTests(ITestOutputHelper log)
{
    private const string Asked = "TORCHSTAB_TESTS_ASKED";
    private static readonly bool All = Environment.GetEnvironmentVariable("TORCHSTAB_MATRIX") == "1";
    private static readonly string[] Settings = ["TORCHSTAB_VECTORS", "TORCHSTAB_KERNELS", "TORCHSTAB_AUTOGRAD", "TORCHSTAB_THREADS", "TORCHSTAB_HUGEPAGES", "TORCHSTAB_MATRIX"];

    // What each form lacks by DOTNET_Enable…=0, and the bits that are left.
    private static readonly (string Lacking, int Width)[] Machines = [("nothing", 512), ("AVX512", 256), ("AVX2", 128), ("HWIntrinsic", 0)];

    public static TheoryData<string, int, bool, bool> Forms
    {
        get
        {
            if (!All) return new() { { "AVX512", 256, true, false }, { "AVX2", 128, true, true }, { "HWIntrinsic", 0, true, false }, { "nothing", 512, false, false } };
            TheoryData<string, int, bool, bool> forms = new() { { "nothing", 512, false, true } };
            foreach (var (lacking, width) in Machines)
                foreach (bool pooled in new[] { true, false }) forms.Add(lacking, width, true, pooled);
            return forms;
        }
    }

    private static string[] Classes => All
        ? [typeof(GoldenRowNormTests).Namespace! + ".", typeof(BatchNormKernelTests).FullName!, typeof(GroupNormKernelTests).FullName!,
            typeof(LayerNormKernelTests).FullName!, typeof(RMSNormKernelTests).FullName!, typeof(AutogradPlugTests).FullName!]
        : [typeof(GoldenChannelNormTests).FullName!, typeof(GoldenRowNormTests).FullName!];

    [Theory]
    [MemberData(nameof(Forms))]
    public void Norms_hold_without(string lacking, int width, bool kernels, bool pooled)
    {
        var (mode, kind) = (kernels ? KernelMode.Auto : KernelMode.Off, pooled ? AutogradKind.Pooled : AutogradKind.Function);
        var pages = kernels ? HugePagesMode.Auto : HugePagesMode.Off;
        width = Math.Min(width, (int)KernelForm.Widest);
        (string, string?)[] environment =
        [
            .. Settings.Select(name => (name, (string?)null)), ("TORCHSTAB_KERNELS", mode.ToString()), ("TORCHSTAB_AUTOGRAD", kind.ToString()),
            ("TORCHSTAB_HUGEPAGES", pages.ToString()), (Asked, Form(width, mode, kind, kernels && HugePages.IsActive)), ($"DOTNET_Enable{lacking}", "0"),
        ];
        string[] classes = [.. Classes, $"{typeof(MachineFormTests).FullName}.{nameof(Is_what_was_asked)}"];
        var (exitCode, output) = DotNet.Run(AppContext.BaseDirectory, environment,
            ["vstest", typeof(MachineFormTests).Assembly.Location, "--TestCaseFilter:" + string.Join('|', classes.Select(name => $"FullyQualifiedName~{name}"))]);
        string form = $"without {lacking}, kernels {mode}, plug {kind}";
        Assert.True(exitCode == 0, $"{form}:\n{output}");
        int passed = int.Parse(Passed().Match(output).Groups[1].Value, CultureInfo.InvariantCulture);
        log.WriteLine($"{form}: {passed} passed");
        Assert.True(passed > 100, output);
    }

    [Fact]
    public void Is_what_was_asked()
    {
        if (Environment.GetEnvironmentVariable(Asked) is { } asked)
            Assert.Equal(asked, Form((int)KernelSelection.Width, KernelSelection.Mode, AutogradPlug.Kind, HugePages.IsActive));
    }

    private static string Form(int width, KernelMode mode, AutogradKind kind, bool pages) => $"{width} bits, kernels {mode}, plug {kind}, huge pages {pages}";

    [GeneratedRegex(@"Passed: +(\d+)")]
    private static partial Regex Passed();
}
