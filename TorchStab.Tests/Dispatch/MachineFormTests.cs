using System.Globalization;
using System.Text.RegularExpressions;
using TorchStab.Dispatch;
using TorchStab.Tests.Clipping;
using TorchStab.Tests.Kernels;
using TorchStab.Tests.Normalization;
using TorchStab.Tests.Optimization;
using TorchStab.Tests.Support;
using Xunit.Abstractions;

namespace TorchStab.Tests.Dispatch;

/// <summary>
/// The norms' tests on lesser machines: child processes whose runtime lacks instructions, where code is compiled that this process never runs, with
/// the settings that a user can make. A child first shows that it is what it was asked to be. Ordinarily the golden suites in four forms; with
/// TORCHSTAB_MATRIX=1 (<c>.ci/matrix</c>) all tests of the norms in every form.
/// </summary>
[Collection(OtherProcesses.Name)]
public partial class MachineFormTests(ITestOutputHelper log)
{
    internal const string Asked = "TORCHSTAB_TESTS_ASKED";
    private static readonly bool All = Environment.GetEnvironmentVariable("TORCHSTAB_MATRIX") == "1";
    private static readonly string[] Settings =
        ["TORCHSTAB_VECTORS", "TORCHSTAB_KERNELS", "TORCHSTAB_AUTOGRAD", "TORCHSTAB_THREADS", "TORCHSTAB_HUGEPAGES", "TORCHSTAB_OUTPUTPOOL",
            "TORCHSTAB_MATRIX"];

    // What each form lacks by DOTNET_Enable…=0, and the bits that are left.
    private static readonly (string Lacking, int Width)[] Machines = [("nothing", 512), ("AVX512", 256), ("AVX2", 128), ("HWIntrinsic", 0)];

    public static TheoryData<string, int, bool, bool> Forms
    {
        get
        {
            if (!All) return new() { { "AVX512", 256, true, false }, { "AVX2", 128, true, true }, { "HWIntrinsic", 0, true, false },
                { "nothing", 512, false, false } };
            TheoryData<string, int, bool, bool> forms = new() { { "nothing", 512, false, true } };
            foreach (var (lacking, width) in Machines)
                foreach (bool pooled in new[] { true, false }) forms.Add(lacking, width, true, pooled);
            return forms;
        }
    }

    /// <summary>What libtorch's fused operations do not promise: the end of a test's name, and why; before a colon the only case that it is about.</summary>
    private static readonly (string Test, string Reason)[] NotNative =
    [
        ("Equal_values_give_the_bias_whatever_their_size", ExtremeValues),
        ("Kernels_of_every_width_keep_finite_what_is_finite", ExtremeValues),
        ("Other_sets_of_the_same_call_keep_their_values", ExtremeValues),
        ("Renormalization_of_large_values_takes_their_deviation", ExtremeValues),
        ("Given_statistics_and_weights_of_any_size_give_what_the_dtype_holds", ExtremeValues),
        ("Kernels_give_the_gradients_that_the_dtype_holds", ExtremeValues),
        ("Extreme_gradients_have_the_dtypes_of_their_tensors", ExtremeValues),
        ("An_autocast_region_gives_the_norms_what_their_kernels_take", "it asks which form runs, and expects kernels"),
        ("A_large_mean_costs_no_digits_of_a_small_variance", Accuracy),
        ("Float32_is_as_accurate_beside_a_large_mean_as_in_double", Accuracy),
        ("LayerNorm2d:Gradients_agree_with_libtorchs_of_the_same_numbers_in_float64", Accuracy), // of three channels with nearly equal values
        ("Outputs_are_at_least_as_accurate_as_libtorchs", Accuracy),
        ("Errors_are_no_larger_than_libtorchs", Accuracy),
        ("The_result_does_not_depend_on_the_number_of_threads", Threads),
        ("Any_number_of_threads_gives_the_same_bits", Threads),
        ("LayerNorm2d:An_input_changed_in_place_is_an_error_and_no_abort", "a copy of a contiguous input is saved, which no change spoils"),
        ("A_recorded_call_allocates_nothing_but_the_returned_wrapper", "counting a batch is an operation of its own there, which TorchSharp allocates for"),
    ];

    /// <summary>What steps by libtorch's operations on lists do not promise: the bits of a kernel, and no allocation.</summary>
    private static readonly string[] NotFused = ["A_step_allocates_nothing_for_a_parameter", "Nothing_is_left_and_a_step_allocates_nothing_for_a_parameter",
        // the last: infinity − infinity, which a fused multiply-add makes infinity
        "The_norm_has_fifteen_digits", "Propagate_steps_as_PyTorch_does"];

    private const string ExtremeValues = "only kernels, and tensor operations on the CPU, look for values whose squares overflow or underflow",
        Accuracy = "libtorch's own operations are what it compares with", Threads = "libtorch's sums depend on the number of threads";

    private static string[] Classes => All
        ? [typeof(GoldenRowNormTests).Namespace! + ".", typeof(BatchNormKernelTests).FullName!, typeof(GroupNormKernelTests).FullName!,
            typeof(LayerNormKernelTests).FullName!, typeof(RMSNormKernelTests).FullName!, typeof(AutogradPlugTests).FullName!]
        : [typeof(GoldenChannelNormTests).FullName!, typeof(GoldenRowNormTests).FullName!];

    [Theory]
    [MemberData(nameof(Forms))]
    public void Norms_hold_without(string lacking, int width, bool kernels, bool pooled)
    {
        var mode = kernels ? KernelMode.Auto : KernelMode.Off;
        Run(lacking, width, mode, pooled ? AutogradKind.Pooled : AutogradKind.Function, string.Join('|', Classes.Select(name => $"FullyQualifiedName~{name}")));
    }

    /// <summary>
    /// Tests of norms and steps on the CPU in the form of other devices: in a CI all of them, elsewhere the golden suites and those of the form itself. What
    /// forces another form, and what runs for minutes, is left to this process and to the matrix.
    /// </summary>
    [Fact]
    public void Norms_hold_in_native_operations()
    {
        string golden = string.Join('|', new[] { typeof(GoldenChannelNormTests), typeof(GoldenRowNormTests), typeof(GoldenOptimTests), typeof(GoldenClipTests) }
            .Select(type => $"FullyQualifiedName~{type.FullName}"));
        Run("nothing", 512, KernelMode.Native, AutogradKind.Pooled, All || Environment.GetEnvironmentVariable("CI") == "true" ? EveryTest() : golden);
    }

    private static string EveryTest()
    {
        string[] repeated = ["InTensorOperations", "At256Bits", "At128Bits", "InScalars", .. All ? Array.Empty<string>()
            : [nameof(NormSoakTests), nameof(NormThreadsTests)]];
        string filter = string.Concat(NotNative.Select(entry => entry.Test).Concat(repeated).Select(Without));
        string steps = string.Concat(NotFused.Concat(["TensorFormTests", "SoakTests", "ThreadsTests"]).Select(Without));
        return $"(FullyQualifiedName~{typeof(GoldenRowNormTests).Namespace}.{filter})"
            + $"|(FullyQualifiedName~{typeof(GoldenOptimTests).Namespace}.{steps})|FullyQualifiedName~{typeof(GoldenClipTests).FullName}";

        static string Without(string test) => test.Split(':') is [var name, var named] ? $"&(FullyQualifiedName!~{named}|DisplayName!~{name})"
            : $"&FullyQualifiedName!~{test}";
    }

    private void Run(string lacking, int width, KernelMode mode, AutogradKind kind, string filter)
    {
        var pages = mode == KernelMode.Auto ? HugePagesMode.Auto : HugePagesMode.Off;
        width = Math.Min(width, (int)KernelForm.Widest);
        (string, string?)[] environment =
        [
            .. Settings.Select(name => (name, (string?)null)), ("TORCHSTAB_KERNELS", mode.ToString()), ("TORCHSTAB_AUTOGRAD", kind.ToString()),
            ("TORCHSTAB_HUGEPAGES", pages.ToString()), (Asked, Form(width, mode, kind, mode == KernelMode.Auto && HugePages.IsActive)),
            ($"DOTNET_Enable{lacking}", "0"),
        ];
        var (exitCode, output) = DotNet.Run(AppContext.BaseDirectory, environment,
            ["vstest", typeof(MachineFormTests).Assembly.Location,
                $"--TestCaseFilter:{filter}|FullyQualifiedName~{typeof(AskedFormTests).FullName}"]);
        string form = $"without {lacking}, kernels {mode}, plug {kind}";
        Assert.True(exitCode == 0, $"{form}:\n{output}");
        int passed = int.Parse(Passed().Match(output).Groups[1].Value, CultureInfo.InvariantCulture);
        log.WriteLine($"{form}: {passed} passed");
        Assert.True(passed > 100, output);
    }

    internal static string Form(int width, KernelMode mode, AutogradKind kind, bool pages) => $"{width} bits, kernels {mode}, plug {kind}, huge pages {pages}";

    [GeneratedRegex(@"Passed: +(\d+)")]
    private static partial Regex Passed();
}
