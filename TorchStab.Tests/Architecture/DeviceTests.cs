using System.Text.RegularExpressions;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Architecture;

/// <summary>What no type can hold: that every factory call names a device, and that no device is asked for a dtype that it may not have.</summary>
public partial class DeviceTests
{
    /// <summary>Without a device a new tensor goes to the default device, wherever the tensors are that it meets.</summary>
    [Fact]
    public void Every_tensor_made_names_its_device() => SourceFile.AssertNone(SourceFile.In("TorchStab").SelectMany(Unnamed));

    /// <summary>Where a tensor is converted to float64 as it is, and why no device without float64 sees it.</summary>
    private static readonly (string File, string Reason)[] InFloat64 =
    [
        ("Normalization/Moments.cs", "only tensors on the CPU"), ("Normalization/BatchNormFunctional.cs", "only where the running mean is on the CPU"),
        ("Dispatch/Launch/WideBackward.cs", "kernels run on the CPU"),
        ("Surgery/FlowProof.cs", "a refusal is caught, and the proof runs in the module's own dtype"),
    ];

    /// <summary>Apple's MPS has no float64: a tensor goes to the CPU first, or to <c>KernelSelection.WideDtype</c>.</summary>
    [Fact]
    public void No_device_is_asked_for_float64()
    {
        var files = SourceFile.In("TorchStab").Where(f => !InFloat64.Any(entry => f.Path.EndsWith(entry.File, StringComparison.Ordinal)));
        SourceFile.AssertNone(files.SelectMany(f =>
            f.Find(@"(?<!\.cpu\(\)|\.to\(CPU\))\.to\(ScalarType\.Float64|ScalarType\.Float64, (CPU, copy|\w+\.device)|\.to\(ScalarType\.Float64, CPU")));
        Assert.All(InFloat64, entry =>
            Assert.Contains(".to(ScalarType.Float64", File.ReadAllText(Path.Combine(Repository.Root, "TorchStab", entry.File)), StringComparison.Ordinal));
    }

    private static IEnumerable<string> Unnamed(SourceFile file)
    {
        foreach (Match call in Factory().Matches(file.Code))
        {
            if (call.Value == "tensor(" && file.Code.Contains("Func<int, Tensor> tensor", StringComparison.Ordinal)) continue; // a delegate that finds one
            int end = call.Index + call.Length;
            for (int depth = 1; depth > 0; end++) depth += file.Code[end] switch { '(' => 1, ')' => -1, _ => 0 };
            if (!Device().IsMatch(file.Code[call.Index..end]))
                yield return $"{file.Path}({file.Code.AsSpan(0, call.Index).Count('\n') + 1}): {file.Code[call.Index..end]}";
        }
    }

    [GeneratedRegex(@"(?<![\w.>]|Tensor )(torch\.)?(zeros|ones|empty|full|tensor|rand|randn|randint|randperm|arange|eye|linspace|logspace|empty_strided|"
        + @"as_tensor|from_array|complex|polar|normal|tril_indices|triu_indices)\(")]
    private static partial Regex Factory();

    [GeneratedRegex(@"\bdevice\b|\bDevice\b|\bCPU\b|\bMETA\b|\.device\b", RegexOptions.IgnoreCase)]
    private static partial Regex Device();
}
