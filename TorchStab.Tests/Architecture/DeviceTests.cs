using System.Text.RegularExpressions;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Architecture;

/// <summary>What no type can hold: that every factory call names a device.</summary>
public partial class DeviceTests
{
    /// <summary>Without a device a new tensor goes to the default device, wherever the tensors are that it meets.</summary>
    [Fact]
    public void Every_tensor_made_names_its_device() => SourceFile.AssertNone(SourceFile.In("TorchStab").SelectMany(Unnamed));

    private static IEnumerable<string> Unnamed(SourceFile file)
    {
        foreach (Match call in Factory().Matches(file.Code))
        {
            if (call.Value == "tensor(" && file.Code.Contains("Func<int, Tensor> tensor", StringComparison.Ordinal)) continue; // a delegate that finds one
            int end = call.Index + call.Length;
            for (int depth = 1; depth > 0; end++) depth += file.Code[end] switch { '(' => 1, ')' => -1, _ => 0 };
            if (!Device().IsMatch(file.Code[call.Index..end])) yield return $"{file.Path}({file.Code.AsSpan(0, call.Index).Count('\n') + 1}): {file.Code[call.Index..end]}";
        }
    }

    [GeneratedRegex(@"(?<![\w.>]|Tensor )(torch\.)?(zeros|ones|empty|full|tensor|rand|randn|randint|randperm|arange|eye|linspace|logspace|empty_strided|as_tensor|from_array|complex|polar|normal|tril_indices|triu_indices)\(")]
    private static partial Regex Factory();

    [GeneratedRegex(@"\bdevice\b|\bDevice\b|\bCPU\b|\bMETA\b|\.device\b", RegexOptions.IgnoreCase)]
    private static partial Regex Device();
}
