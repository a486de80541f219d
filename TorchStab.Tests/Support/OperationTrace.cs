using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using TorchSharp;

namespace TorchStab.Tests.Support;

/// <summary>
/// The operations of libtorch that a piece of code calls, by libtorch's own execution-trace observer. Those that another operation calls are left out, and so
/// are those that by themselves only look at a tensor: what is left is, on a GPU, at least one launch each.
/// </summary>
internal static unsafe class OperationTrace
{
    private static readonly nint Library = NativeLibrary.Load("LibTorchSharp", typeof(torch).Assembly, null);

    private static readonly string[] WithoutWork =
        ["aten::view", "aten::reshape", "aten::as_strided", "aten::permute", "aten::transpose", "aten::transpose_", "aten::expand", "aten::squeeze",
        "aten::unsqueeze", "aten::slice", "aten::select", "aten::alias", "aten::detach", "aten::detach_", "aten::contiguous", "aten::empty", "aten::empty_like",
        "aten::empty_strided", "aten::t", "aten::flatten", "aten::to", "aten::view_as", "aten::result_type", "aten::is_same_size", "aten::_unsafe_view",
        "aten::narrow", "aten::unflatten_dense_tensors"];

    /// <summary>Whether this libtorch exports the observer under the names of GCC and Clang on Linux.</summary>
    public static bool IsAvailable { get; } = OperatingSystem.IsLinux() && Find("28enableExecutionTraceObserverEv") != 0;

    /// <summary>The names of the operations, in their order.</summary>
    public static List<string> Of(Action action)
    {
        string path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.json");
        byte[] text = Encoding.UTF8.GetBytes(path + "\0");
        fixed (byte* characters = text)
        {
            // std::string of libstdc++: the address, the length, 16 bytes for short texts.
            nint* name = stackalloc nint[4] { (nint)characters, text.Length - 1, 0, 0 };
            var add = (delegate* unmanaged<nint*, byte>)Find("25addExecutionTraceObserverERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE");
            Assert.NotEqual(0, add(name));
        }
        try
        {
            ((delegate* unmanaged<void>)Find("28enableExecutionTraceObserverEv"))();
            action();
            ((delegate* unmanaged<void>)Find("29disableExecutionTraceObserverEv"))();
        }
        finally
        {
            ((delegate* unmanaged<void>)Find("28removeExecutionTraceObserverEv"))();
        }
        using var trace = JsonDocument.Parse(File.ReadAllText(path));
        File.Delete(path);
        return Outermost(trace.RootElement.GetProperty("nodes"));
    }

    private static List<string> Outermost(JsonElement nodes)
    {
        Dictionary<long, (string Name, long Parent)> all = [];
        foreach (var node in nodes.EnumerateArray())
            all[node.GetProperty("id").GetInt64()] = (node.GetProperty("name").GetString()!, node.GetProperty("ctrl_deps").GetInt64());
        return [.. all.OrderBy(node => node.Key).Where(node => IsOperation(node.Value.Name) && !HasOperationAbove(node.Value.Parent))
            .Select(node => node.Value.Name)];

        static bool IsOperation(string name) => name.StartsWith("aten::", StringComparison.Ordinal) && !WithoutWork.Contains(name);

        bool HasOperationAbove(long id)
        {
            for (; all.TryGetValue(id, out var node) && node.Parent != id; id = node.Parent)
                if (IsOperation(node.Name)) return true;
            return false;
        }
    }

    private static nint Find(string name) => NativeLibrary.TryGetExport(Library, "_ZN5torch8profiler4impl" + name, out nint address) ? address : 0;
}

/// <summary>A theory that counts operations: reported as not run where libtorch does not export its observer.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class TracedTheoryAttribute : TheoryAttribute
{
    public override string? Skip
    {
        get => OperationTrace.IsAvailable ? null : "not run: this libtorch exports no observer of operations";
    }
}
