using TorchSharp.Modules;
using TorchStab.Surgery;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>Norms that a swap does not reach, or whose class the model's own code insists on, are listed; nothing is passed over.</summary>
public class UnseenNormTests
{
    public static TheoryData<string, int> Native =>
        new() { { "TransformerEncoderLayer", 2 }, { "TransformerEncoder", 6 }, { "TransformerDecoder", 9 }, { "Transformer", 12 } };

    private static nn.Module Make(string kind) => kind switch
    {
        "TransformerEncoderLayer" => nn.TransformerEncoderLayer(8, 2),
        "TransformerEncoder" => nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), 3),
        "TransformerDecoder" => nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2), 3),
        _ => nn.Transformer(8, 2, 2, 2, 16),
    };

    private sealed class Holder(params nn.Module[] parts) : nn.Module<Tensor, Tensor>(nameof(Holder))
    {
        public Holder Registered()
        {
            for (int i = 0; i < parts.Length; i++) register_module($"p{i}", parts[i]);
            return this;
        }

        public override Tensor forward(Tensor x) => x.alias();
    }

    [Theory]
    [MemberData(nameof(Native))]
    public void Norms_inside_of_libtorchs_layers_are_listed(string kind, int norms)
    {
        using var model = new Holder(Make(kind), nn.LayerNorm(8), Make(kind)).Registered();
        var error = Assert.Throws<InvalidOperationException>(() => stab.nn.utils.swap_norms_(model, new SwapOptions { RequireAll = true }));
        Assert.Contains($"torch.nn.{kind}: its layer norms are inside libtorch's own module", error.Message, StringComparison.Ordinal);
        var report = stab.nn.utils.swap_norms_(model);
        Assert.Equal(["p1"], report.Changes.Select(c => c.Path));
        var left = report.Refusals.Single();
        Assert.True(left.Path == "p0" && left.Count >= 2 * norms, report.ToString()); // libtorch's Transformer ends each half in one more
        Assert.Contains($"1 changed, {left.Count} left\np0 and {left.Count - 1} more", report.ToString(), StringComparison.Ordinal);
        Assert.Equal(left, stab.nn.utils.freeze_norms_(model).Refusals.Single());
        Assert.Empty(stab.nn.utils.swap_norms_(model, new SwapOptions { Filter = path => path == "p1", RequireAll = true }).Refusals);
    }

    private sealed class Unregistered : nn.Module<Tensor, Tensor>
    {
        private readonly List<nn.Module<Tensor, Tensor>> hidden = [nn.LayerNorm(4), nn.BatchNorm1d(4), nn.LayerNorm(4)];
        private readonly nn.Module<Tensor, Tensor> seen = nn.LayerNorm(4);

        public Unregistered() : base(nameof(Unregistered)) => RegisterComponents();

        public override Tensor forward(Tensor x) => hidden.Aggregate(seen.call(x), (y, norm) => norm.call(y));
    }

    [Fact]
    public void Norms_in_a_list_that_nobody_registered_are_listed()
    {
        using var model = nn.Sequential(("u", new Unregistered()));
        var report = stab.nn.utils.swap_norms_(model);
        Assert.Equal(["u.seen"], report.Changes.Select(c => c.Path));
        Assert.Equal([("u.hidden[0]", 2), ("u.hidden[1]", 1)], report.Refusals.Select(r => (r.Path, r.Count)));
        Assert.Contains("field 'hidden' of Unregistered holds it, and it is not registered", report.Refusals[0].Reason, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => stab.nn.utils.swap_norms_(model, new SwapOptions { RequireAll = true }));
        model.eval();
        Assert.Equal("u.hidden[1]", Assert.Single(Left(model)).Path);
    }

    private static IReadOnlyList<ModuleRefusal> Left(nn.Module model)
    {
        stab.nn.utils.fuse_norms(model, out var report);
        return report.Refusals;
    }

    /// <summary>Several ways in which code takes a module for a LayerNorm; each field or table entry is used in one.</summary>
    private abstract class Casting : nn.Module<Tensor, Tensor>
    {
        protected readonly ModuleDict<nn.Module<Tensor, Tensor>> d =
            nn.ModuleDict<nn.Module<Tensor, Tensor>>(("ln", nn.LayerNorm(4)), ("bn", nn.BatchNorm1d(4)));
        protected readonly nn.Module<Tensor, Tensor> free = nn.LayerNorm(4);

        protected Casting() : base(nameof(Casting))
        {
            RegisterComponents();
            foreach (var m in modules())
                if (m is LayerNorm norm) nn.init.constant_(norm.weight, 2); // not what forward runs
        }

        public override Tensor forward(Tensor x) => Norm(d["bn"].call(free.call(x)));

        protected abstract Tensor Norm(Tensor x);
    }

    private sealed class Computed : Casting
    {
        private LayerNorm Ln => (LayerNorm)d["ln"];

        protected override Tensor Norm(Tensor x) => Ln.call(x);
    }

    private sealed class Unused : Casting
    {
        public LayerNorm? Ln => d["ln"] as LayerNorm;

        protected override Tensor Norm(Tensor x) => d["ln"].call(x);
    }

    private sealed class FromField : Casting
    {
        private readonly nn.Module<Tensor, Tensor> other;

        public FromField()
        {
            other = nn.LayerNorm(4);
            register_module("other", other);
        }

        protected override Tensor Norm(Tensor x) => ((LayerNorm)other).call(x);
    }

    private sealed class InLambda : Casting
    {
        protected override Tensor Norm(Tensor x) => d.values().OfType<LayerNorm>().Aggregate(x, (y, norm) => norm.call(y));
    }

    private sealed class InModuleList : Casting
    {
        private readonly ModuleList<nn.Module<Tensor, Tensor>> list = nn.ModuleList<nn.Module<Tensor, Tensor>>(nn.LayerNorm(4), nn.Linear(4, 4));

        protected override Tensor Norm(Tensor x)
        {
            foreach (var norm in list.OfType<LayerNorm>()) x = norm.call(x);
            return x;
        }
    }

    private sealed class ByTypeof : Casting
    {
        protected override Tensor Norm(Tensor x) => d["ln"].GetType() == typeof(LayerNorm) ? d["ln"].call(x) : throw new FormatException();
    }

    private sealed class Async : Casting
    {
        protected override Tensor Norm(Tensor x) => Later(x).GetAwaiter().GetResult();

        private async Task<Tensor> Later(Tensor x)
        {
            await Task.Yield();
            return ((LayerNorm)d["ln"]).call(x);
        }
    }

    private sealed class Both : Casting
    {
        protected override Tensor Norm(Tensor x) => d["ln"] is LayerNorm or TorchStab.Modules.LayerNorm ? d["ln"].call(x) : throw new FormatException();
    }

    private sealed class Failing : Casting
    {
        public LayerNorm Ln => throw new FormatException(((LayerNorm)d["ln"]).GetName());

        protected override Tensor Norm(Tensor x) => d["ln"].call(x);
    }

    public static TheoryData<Type, string> Casts => new()
    {
        { typeof(Computed), "d.ln" }, { typeof(Unused), "d.ln" }, { typeof(FromField), "other" }, { typeof(InLambda), "d.ln,free" }, { typeof(Both), "" },
        { typeof(Failing), "" }, { typeof(InModuleList), "d.ln,free,list.0" }, { typeof(ByTypeof), "d.ln,free" }, { typeof(Async), "d.ln,free" },
    };

    [Theory]
    [MemberData(nameof(Casts))]
    public void Code_that_takes_a_module_for_its_class_keeps_it(Type type, string left)
    {
        using var scope = NewDisposeScope();
        var module = (Casting)Activator.CreateInstance(type)!;
        using var model = nn.Sequential(("m", module), ("n", nn.LayerNorm(4)));
        var x = randn(5, 4);
        var expected = model.call(x);
        var report = stab.nn.utils.swap_norms_(model);
        string[] kept = [.. left.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(p => "m." + p)];
        Assert.Equal(kept.Length, report.Refusals.Sum(r => r.Count)); // one entry for all with one reason, by the first one's name
        Assert.All(report.Refusals, r => Assert.Contains(r.Path, kept));
        Assert.DoesNotContain(report.Changes, c => kept.Contains(c.Path));
        Assert.Contains("n", report.Changes.Select(c => c.Path));
        Compare.Close(expected, model.call(x), type.Name);
        if (left.Length > 0) Assert.Contains("LayerNorm", report.Refusals[0].Reason, StringComparison.Ordinal);
        stab.nn.utils.restore_norms_(model);
        Compare.Close(expected, model.call(x), type.Name);
    }

    [Fact]
    public void A_program_without_reflection_is_told_what_works()
    {
        var error = Assert.Throws<NotSupportedException>(() => TorchSharpInternals.RequireReflection(false));
        Assert.Contains("compiled ahead of time", error.Message, StringComparison.Ordinal);
        TorchSharpInternals.RequireReflection(true);
    }
}
