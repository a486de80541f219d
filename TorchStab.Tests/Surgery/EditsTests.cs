using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.Loader;
using System.Text.RegularExpressions;
using TorchStab.Surgery;
using TorchStab.Tests.Support;
using TorchStab.Tests.Surgery.Models;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>The edits that refusals ask for are made in the models' source; it compiles, and every norm is swapped then.</summary>
public sealed class EditsTests : IDisposable
{
    private readonly Compilers _compilers = new();

    public void Dispose() => _compilers.Dispose();

    [Fact]
    public void CSharp_compiles_and_swaps_after_the_edits()
    {
        string source = File.ReadAllText(Repository.File("TorchStab.Tests", "Surgery", "Models", "TypedModels.cs"));
        var models = TypedModels.All.Select(make => make()).ToList();
        string edited = Edit(source, models, CSharp);
        Check(models, Models(_compilers.CSharp("global using System; global using System.Collections.Generic; global using System.Linq;\n#nullable enable\n"
            + edited)));
    }

    [Fact]
    public void FSharp_compiles_and_swaps_after_the_edits()
    {
        string source = File.ReadAllText(Repository.File("TorchStab.Tests", "Surgery", "Models", "TypedModels.fs"));
        var models = Models(_compilers.FSharp(source));
        string edited = Edit(source, models, FSharp);
        Check(models, Models(_compilers.FSharp(edited)));
    }

    /// <summary>
    /// What a person does who follows a refusal: finds the class, changes the declaration, and makes the norm by the function that the reason names.
    /// </summary>
    private static string Edit(string source, List<nn.Module<Tensor, Tensor>> models, Func<string, ModuleRefusal, string> edit)
    {
        foreach (var model in models)
        {
            var report = stab.nn.utils.swap_norms_(model);
            Assert.NotEmpty(report.Refusals);
            foreach (var refusal in report.Refusals)
            {
                Assert.True(refusal.Line is not null, report.ToString());
                string name = Regex.Match(refusal.Reason, @"' of (\w+) ").Groups[1].Value;
                var type = Regex.Match(source, $@"(?<!open )(class|record|type) {name}\b.*?(?=\n *\n[^\n]*(///|class |type |let All)|$)",
                    RegexOptions.Singleline);
                Assert.True(type.Success, $"no class '{name}' for: {refusal.Reason}");
                string text = edit(type.Value, refusal);
                if (Regex.Match(refusal.Reason, @"make it by stab\.nn\.(\w+)") is { Success: true } made)
                    text = Regex.Replace(text, $@"(?<![\w.])(nn\.)?{made.Groups[1].Value}\((?=\d)", $"TorchStab.stab.nn.{made.Groups[1].Value}(");
                if (refusal.Reason.EndsWith("make its value of the new type, too", StringComparison.Ordinal)) // a call that takes its type from its arguments
                    text = Regex.Replace(text, @"= ModuleList\(", m => $"= ModuleList<{Declarations.AnyModule}>(");
                source = source.Remove(type.Index, type.Length).Insert(type.Index, text);
            }
        }
        return source;
    }

    private static string CSharp(string text, ModuleRefusal refusal)
    {
        string line = refusal.Line!, replacement = refusal.Replacement!;
        if (text.Contains(line, StringComparison.Ordinal)) return text.Replace(line, replacement, StringComparison.Ordinal);
        // A field with an initial value, or several fields in one declaration.
        (string head, string name) = Split(line.TrimEnd(';'));
        string newHead = Split(replacement.TrimEnd(';')).Head;
        string edited = Regex.Replace(text, $@"{Regex.Escape(head)}(?= [^;{{]*\b{name}\b)", newHead);
        Assert.True(edited != text || Regex.IsMatch(text, $@"{Regex.Escape(newHead)} [^;{{]*\b{name}\b"), $"found no '{line}' in:\n{text}");
        return edited;
    }

    private static string FSharp(string text, ModuleRefusal refusal)
    {
        if (text.Contains(refusal.Line!, StringComparison.Ordinal)) return text.Replace(refusal.Line!, refusal.Replacement, StringComparison.Ordinal);
        string name = Regex.Match(refusal.Line!, @"^(?:let|member val) (\w+) : ").Groups[1].Value; // the source may leave the type out
        string edited = Regex.Replace(text, $@"(let|member val) {name}( : [^=]+?)? =", refusal.Replacement + " =");
        Assert.True(edited != text, $"found no '{refusal.Line}' in:\n{text}");
        return edited;
    }

    private static (string Head, string Name) Split(string declaration)
    {
        int space = declaration.LastIndexOf(' ');
        return (declaration[..space], declaration[(space + 1)..]);
    }

    [UnconditionalSuppressMessage("Trimming", "IL2026", Justification = "tests are not trimmed")]
    private static List<nn.Module<Tensor, Tensor>> Models(byte[] assembly)
    {
        var context = new AssemblyLoadContext("edited", isCollectible: false);
        using var stream = new MemoryStream(assembly);
        var all = context.LoadFromStream(stream)
            .GetType("TorchStab.Tests.Surgery.Models.TypedModels")!.GetProperty("All", BindingFlags.Static | BindingFlags.Public)!.GetValue(null)!;
        return [.. ((System.Collections.IEnumerable)all).Cast<object>().Select(Make)];
    }

    private static nn.Module<Tensor, Tensor> Make(object function) =>
        (nn.Module<Tensor, Tensor>)function.GetType().GetMethods().First(m => m.Name == "Invoke" && m.GetParameters().Length < 2)
            .Invoke(function, function is Delegate ? [] : [null])!;

    private static void Check(List<nn.Module<Tensor, Tensor>> models, List<nn.Module<Tensor, Tensor>> edited)
    {
        using var scope = NewDisposeScope();
        foreach (var (before, after) in models.Zip(edited))
        {
            foreach (var (from, to) in before.state_dict().Zip(after.state_dict()))
            {
                Assert.Equal(from.Key, to.Key);
                using var _ = no_grad();
                if (from.Value.is_floating_point()) from.Value.uniform_(0.5, 1.5); // a new GroupNorm's are uninitialised
                to.Value.copy_(from.Value);
            }
            var report = stab.nn.utils.swap_norms_(after, new SwapOptions { RequireAll = true });
            Assert.NotEmpty(RealModels.Norms(after, "TorchStab"));
            Assert.Empty(RealModels.Norms(after, "TorchSharp"));
            var x = randn(2, 4, 6, 6);
            Compare.Close(before.call(x), after.call(x), $"{before.GetName()}\n{report}");
            before.Dispose();
            after.Dispose();
        }
    }
}
