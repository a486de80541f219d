using TorchStab.Tests.Support;

namespace TorchStab.Tests.Architecture;

/// <summary>
/// The flow, one way: façade, module, functional maths, dispatch, kernel; Diagnostics and Surgery on top. Each rule says what a
/// folder may not contain, so a new file is held to it by where it stands.
/// </summary>
public class LayerTests
{
    /// <summary>The folders, and which of them each may name. Modules and optimizers of any folder stand in TorchStab.Modules.</summary>
    private static readonly Dictionary<string, string[]> Knows = new()
    {
        ["Kernels"] = [],
        ["Dispatch"] = ["Kernels"],
        ["Amp"] = ["Clipping", "Dispatch", "Optimization"],
        ["Clipping"] = ["Dispatch"],
        ["Initialization"] = ["Dispatch"],
        ["Normalization"] = ["Dispatch", "Kernels"],
        ["Reparametrization"] = ["Dispatch", "Normalization"],
        ["Recurrent"] = ["Initialization", "Normalization", "Reparametrization"],
        ["Optimization"] = ["Clipping", "Dispatch", "Initialization", "Kernels"],
        ["Averaging"] = ["Dispatch", "Normalization"],
        ["Diagnostics"] = ["Clipping", "Dispatch", "Initialization"],
        ["Surgery"] = ["Dispatch", "Normalization", "Reparametrization"],
        ["Distributed"] = ["Clipping", "Dispatch", "Initialization", "Normalization", "Optimization"],
        ["buildTransitive"] = [],
    };

    public static TheoryData<string> Folders => [.. Knows.Keys];

    [Fact]
    public void Kernels_know_no_TorchSharp_type()
    {
        None(Library("Kernels"), @"\bTorchSharp\b|\btorch\.|\bTensor\b|\bTorchStab\.(Dispatch|Normalization|Optimization|Clipping)\b");
    }

    [Fact]
    public void Only_Dispatch_turns_a_tensor_into_memory()
    {
        None(Library().Where(f => !In(f, "Dispatch", "Kernels") && f.Find(@"\bTensor\b").Any()),
            @"\bTensorMemory\.|\bLibTorch\.|\bTHS\w+|\bDllImport\b|\bLibraryImport\b|\bNativeLibrary\.|\.bytes\b|\bfixed\s*\(");
    }

    /// <summary>LibTorch binds the export, TensorMemory alone calls it.</summary>
    [Fact]
    public void One_file_asks_where_a_tensor_lies()
    {
        None(Library("Dispatch").Where(f => Path.GetFileName(f.Path) != "TensorMemory.cs"), @"\bLibTorch\.Data\b|\.bytes\b|\bdata_ptr\b");
    }

    [Fact]
    public void Native_exports_are_named_in_Dispatch_only_in_the_files_that_bind_them()
    {
        None(Library("Dispatch").Where(f => !f.Lines.Any(line => line.Contains("NativeLibrary", StringComparison.Ordinal))),
            @"\bDllImport\b|\bLibraryImport\b|\bNativeLibrary\.");
    }

    /// <summary>Elsewhere a kernel is at most named, as the type that a pass of Dispatch is to run, and its arguments are made, as data.</summary>
    [Fact]
    public void Only_Dispatch_calls_kernels()
    {
        None(Library().Where(f => !In(f, "Dispatch", "Kernels")), @"\b\w+Kernel(\.\w+)+\s*\(");
    }

    [Theory]
    [InlineData("Kernels")]
    [InlineData("Dispatch")]
    [InlineData("Clipping")]
    [InlineData("buildTransitive")]
    public void Nothing_below_a_module_names_one(string folder) => None(Library(folder), @"\bTorchStab\.Modules\b");

    [Fact]
    public void Modules_do_not_name_kernels()
    {
        None(Library().Where(f => f.Find(@"\bnamespace TorchStab\.Modules\b").Any()), @"\bTorchStab\.(Kernels|Dispatch\.Autograd)\b");
    }

    [Fact]
    public void Every_folder_has_its_place()
    {
        string[] folders = [.. Library().Where(f => f.Path.Count(c => c == '/') > 1).Select(f => f.Path.Split('/')[1]).Distinct()
            .Order(StringComparer.Ordinal)];
        Assert.Equal(Knows.Keys.Order(StringComparer.Ordinal), folders);
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void A_folder_knows_only_those_below_it(string folder)
    {
        string others = string.Join('|', Knows.Keys.Except([folder, .. Knows[folder]]));
        None(Library(folder), $@"(?<!\bnamespace )\bTorchStab\.({others})\b");
    }

    [Fact]
    public void Nothing_below_uses_the_facade()
    {
        None(Library().Where(f => f.Path.Count(c => c == '/') > 1), @"\bstab\.(nn|optim|distributed)\.");
    }

    [Fact]
    public void The_facade_only_forwards()
    {
        var facade = Library().Where(f => Path.GetFileName(f.Path).StartsWith("stab.", StringComparison.Ordinal)).ToArray();
        Assert.NotEmpty(facade);
        None(facade, @"\b(if|for|foreach|while|switch|return|throw|try|lock|var)\b");
        SourceFile.AssertNone(facade.SelectMany(f => f.Bodies()).Select(b => b.Where));
    }

    private static IEnumerable<SourceFile> Library(string folder = "") => SourceFile.In(Path.Combine("TorchStab", folder));

    private static bool In(SourceFile file, params string[] folders) =>
        folders.Any(folder => file.Path.StartsWith($"TorchStab/{folder}/", StringComparison.Ordinal));

    private static void None(IEnumerable<SourceFile> files, string pattern) => SourceFile.AssertNone(files.SelectMany(f => f.Find(pattern)));
}
