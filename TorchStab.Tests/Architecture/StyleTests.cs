using TorchStab.Tests.Support;

namespace TorchStab.Tests.Architecture;

/// <summary>What keeps the source easy to read: short files and functions, nothing left to do.</summary>
public class StyleTests
{
    private static readonly string[] Everything = ["TorchStab", "TorchStab.Tests", "samples"];

    [Theory]
    [InlineData("TorchStab", 200)]
    [InlineData("TorchStab.Tests", 300)]
    [InlineData("samples", 200)]
    public void Files_are_short(string folder, int limit)
    {
        const int kernelLimit = 300;
        SourceFile.AssertNone(SourceFile.In(folder)
            .Where(f => f.Lines.Count >= (f.Path.Contains("/Kernels/", StringComparison.Ordinal) ? kernelLimit : limit))
            .Select(f => $"{f.Path}: {f.Lines.Count} lines"));
    }

    [Theory]
    [InlineData("TorchStab")]
    [InlineData("samples")]
    public void Functions_are_short(string folder)
    {
        const int limit = 30, kernelLimit = 45; // kernels unroll; both without the braces
        SourceFile.AssertNone(SourceFile.In(folder).SelectMany(f => f.Bodies())
            .Where(b => b.Length >= (b.Where.Contains("/Kernels/", StringComparison.Ordinal) ? kernelLimit : limit))
            .Select(b => $"{b.Where}: {b.Length} lines"));
    }

    [Fact]
    public void Nothing_is_left_to_do()
    {
        string[] words = ["TO" + "DO", "FIX" + "ME", "HA" + "CK", "NotImplemented" + "Exception", "Skip" + " ="];
        SourceFile.AssertNone(Everything.SelectMany(SourceFile.In).SelectMany(f =>
            f.Lines.Where(line => words.Any(word => line.Contains(word, StringComparison.Ordinal))).Select(line => $"{f.Path}: {line.Trim()}")));
    }

    /// <summary>A second kernel of an op (BatchNormRowsKernel beside BatchNormKernel) shares the op's.</summary>
    [Fact]
    public void An_op_with_a_kernel_has_a_scalar_reference_and_a_kernel_test()
    {
        const string kernel = "Kernel.cs", reference = "Kernel.Reference.cs";
        string[] files = [.. Repository.Sources(Path.Combine("TorchStab", "Kernels")).Select(path => Path.GetFileName(path))];
        string[] ops = [.. files.Where(f => f.EndsWith(reference, StringComparison.Ordinal)).Select(f => f[..^reference.Length])];
        string[] tests = [.. Repository.Sources("TorchStab.Tests").Select(path => Path.GetFileName(path))];
        var kernels = files.Where(f => f.EndsWith(kernel, StringComparison.Ordinal) && !f.StartsWith('I'));
        Assert.All(kernels, file => Assert.Contains(ops, op => file.StartsWith(op, StringComparison.Ordinal)));
        Assert.All(ops, op => Assert.Contains(tests, test => test.StartsWith(op + "Kernel", StringComparison.Ordinal)));
    }
}
