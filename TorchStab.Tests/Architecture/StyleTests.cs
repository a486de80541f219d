using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
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
    public void Lines_fit_beside_their_diff()
    {
        const int limit = 160; // max_line_length of .editorconfig, which no analyzer holds
        SourceFile.AssertNone(Everything.SelectMany(SourceFile.In).SelectMany(f =>
            f.Lines.Index().Where(line => line.Item.Length > limit).Select(line => $"{f.Path}({line.Index + 1}): {line.Item.Length} columns")));
    }

    /// <summary>The lower bound of splitting: a reader who follows a call must learn something at every stop.</summary>
    [Fact]
    public void No_private_function_only_forwards()
    {
        SourceFile.AssertNone(Library().SelectMany(Methods).Where(m => m.IsPrivate && !m.IsVirtual && Forwards(m)).Select(m => $"{m.DeclaringType}.{m.Name}"));
    }

    [Fact]
    public void No_internal_type_only_forwards()
    {
        SourceFile.AssertNone(Library().Where(type => type.IsNotPublic || type.IsNestedAssembly || (type.IsNestedPublic && type.DeclaringType!.IsNotPublic))
            .Where(type => Methods(type).Any() && Methods(type).All(Forwards)).Select(type => $"{type}"));
    }

    [Fact]
    public void A_function_that_only_forwards_is_recognized()
    {
        Assert.True(Forwards(Sample(nameof(OnlyForwards))));
        Assert.False(Forwards(Sample(nameof(AddsAnArgument))));
        Assert.False(Forwards(Sample(nameof(ChangesTheOrder))));

        static MethodInfo Sample(string name) => typeof(StyleTests).GetMethod(name, BindingFlags.NonPublic | BindingFlags.Static)!;
    }

    [Fact]
    public void Nothing_is_left_to_do()
    {
        string[] words = ["TO" + "DO", "FIX" + "ME", "HA" + "CK", "NotImplemented" + "Exception", "Skip" + " ="];
        SourceFile.AssertNone(Everything.SelectMany(SourceFile.In).SelectMany(f =>
            f.Lines.Where(line => words.Any(word => line.Contains(word, StringComparison.Ordinal))).Select(line => $"{f.Path}: {line.Trim()}")));
    }

    /// <summary>LayerNorm and RMSNorm share their kernel (RowNorm); each has a reference and a test of its own.</summary>
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

    private static int OnlyForwards(int a, int b) => Math.Max(a, b);

    private static double AddsAnArgument(double a) => Math.Max(a, 1);

    private static int ChangesTheOrder(int a, int b) => Math.Max(b, a);

    private static IEnumerable<Type> Library() => typeof(stab).Assembly.GetTypes().Where(type => !type.IsDefined(typeof(CompilerGeneratedAttribute)));

    private static IEnumerable<MethodInfo> Methods(Type type) => type
        .GetMethods(BindingFlags.DeclaredOnly | BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic)
        .Where(m => !m.IsDefined(typeof(CompilerGeneratedAttribute)) && !m.IsSpecialName && !m.Name.Contains('<', StringComparison.Ordinal));

    /// <summary>Whether the compiled body is one call with the function's own arguments, in their order, and nothing else.</summary>
    private static bool Forwards(MethodInfo method)
    {
        if (method.GetMethodBody()?.GetILAsByteArray() is not { } code) return false;
        int arguments = method.GetParameters().Length + (method.IsStatic ? 0 : 1), at = 0;
        for (int i = 0; i < arguments; i++)
        {
            if (at < code.Length && i < 4 && code[at] == OpCodes.Ldarg_0.Value + i) at++;
            else if (at + 1 < code.Length && i >= 4 && code[at] == OpCodes.Ldarg_S.Value && code[at + 1] == i) at += 2;
            else return false;
        }
        return arguments > 0 && at + 6 == code.Length && (code[at] == OpCodes.Call.Value || code[at] == OpCodes.Callvirt.Value)
            && code[at + 5] == OpCodes.Ret.Value;
    }
}
