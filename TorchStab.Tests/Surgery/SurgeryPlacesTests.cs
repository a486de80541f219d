using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>The places a norm can stand in, and what can't be exchanged.</summary>
public class SurgeryPlacesTests
{
    private sealed class Holder
    {
        public nn.Module<Tensor, Tensor>? Norm;
    }

    private class ParameterIndices : nn.Module<Tensor, Tensor>
    {
        private readonly nn.Module<Tensor, Tensor> field = nn.BatchNorm2d(4);
        private readonly nn.Module<Tensor, Tensor>[] array = [nn.GroupNorm(2, 4), nn.InstanceNorm2d(4)];
        private readonly List<nn.IModule<Tensor, Tensor>> list = [nn.BatchNorm2d(4)];
        private readonly (nn.Module<Tensor, Tensor> norm, int count) tuple = (nn.BatchNorm2d(4), 1);
        private readonly Dictionary<string, nn.Module> table = new() { ["x"] = nn.BatchNorm2d(4) };
        private readonly Holder holder = new() { Norm = nn.BatchNorm2d(4) };
        private readonly Func<Tensor, Tensor> closure;
        private readonly ModuleList<nn.Module<Tensor, Tensor>> stack = nn.ModuleList<nn.Module<Tensor, Tensor>>(nn.BatchNorm2d(4));
        private readonly ModuleDict<nn.Module<Tensor, Tensor>> named = nn.ModuleDict<nn.Module<Tensor, Tensor>>(("n", nn.BatchNorm2d(4)));

        public ParameterIndices() : base(nameof(ParameterIndices))
        {
            nn.Module<Tensor, Tensor> captured = nn.BatchNorm2d(4);
            closure = x => captured.call(x);
            register_module("array0", array[0]);
            register_module("array1", array[1]);
            register_module("list0", (nn.Module)list[0]);
            register_module("tuple", tuple.norm);
            register_module("table", table["x"]);
            register_module("holder", holder.Norm!);
            register_module("captured", captured);
            RegisterComponents();
        }

        public nn.Module Property { get; set; } = nn.LayerNorm(4);

        public override Tensor forward(Tensor x)
        {
            x = array[1].call(array[0].call(field.call(x)));
            x = ((nn.Module<Tensor, Tensor>)table["x"]).call(tuple.norm.call(list[0].call(x)));
            x = named["n"].call(stack[0].call(closure(holder.Norm!.call(x))));
            return ((nn.Module<Tensor, Tensor>)Property).call(x);
        }
    }

    [Fact]
    public void Exchanges_a_norm_wherever_it_stands()
    {
        using var scope = NewDisposeScope();
        using var model = new ParameterIndices();
        var names = model.named_modules().Select(m => m.name).ToList();
        var report = stab.nn.utils.swap_norms_(model);
        Assert.True(report.Changes.Count == 11 && report.Refusals.Count == 0, report.ToString());
        Assert.Equal(names, model.named_modules().Select(m => m.name));
        Assert.DoesNotContain(model.modules(), m => m.GetType().Name.Contains("Norm", StringComparison.Ordinal)
            && m.GetType().Namespace == "TorchSharp.Modules");
        var used = new HashSet<string>();
        foreach (var (name, module) in model.named_modules())
        {
            if (module is not nn.Module<Tensor, Tensor> norm) continue;
            norm.register_forward_pre_hook((m, x) =>
            {
                if (m.GetType().Namespace == "TorchStab.Modules") used.Add(name); // the old module has the same hooks
                return x;
            });
        }
        model.call(randn(2, 4, 4, 4));
        Assert.Equal(report.Changes.Select(c => c.Path).Order(), used.Order());
        Assert.Equal(11, stab.nn.utils.restore_norms_(model).Changes.Count);
    }

    [Fact]
    public void A_shared_norm_is_exchanged_once_and_stays_shared()
    {
        var norm = nn.BatchNorm2d(3);
        using var model = nn.Sequential(norm, nn.Sequential(norm), nn.ReLU());
        Assert.Equal(["0"], stab.nn.utils.swap_norms_(model).Changes.Select(c => c.Path));
        Assert.Same(model[0], ((Sequential)model[1])[0]);
        Assert.NotSame(norm, model[0]);
    }

    private sealed class Sealed : nn.Module<Tensor, Tensor>
    {
        private readonly BatchNorm2d bn1 = nn.BatchNorm2d(3);
        public readonly ModuleList<BatchNorm2d> norms = nn.ModuleList(nn.BatchNorm2d(3));
        private readonly nn.Module<Tensor, Tensor> bn2 = nn.BatchNorm2d(3), bn3 = nn.BatchNorm2d(3);
        private readonly HashSet<nn.Module> seen = [];
        private readonly Func<Tensor, Tensor> bound;

        public Sealed() : base(nameof(Sealed))
        {
            seen.Add(bn2);
            bound = bn3.forward;
            RegisterComponents();
        }

        public BatchNorm Property { get; private set; } = nn.BatchNorm2d(3);

        public override Tensor forward(Tensor x) => bound(bn2.call(norms[0].call(bn1.call(x))));
    }

    [Fact]
    public void What_a_place_refuses_is_listed_with_the_line_to_change()
    {
        using var model = nn.Sequential(new Sealed(), nn.BatchNorm2d(3));
        var modules = model.named_modules().ToList();
        var report = stab.nn.utils.swap_norms_(model);
        Assert.Equal(["1"], report.Changes.Select(c => c.Path));
        var lines = report.Refusals.ToDictionary(r => r.Path);
        Assert.Equal("private readonly BatchNorm2d bn1;", lines["0.bn1"].Line);
        Assert.Equal("private readonly TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor> bn1;", lines["0.bn1"].Replacement);
        Assert.Contains("field 'bn1' of Sealed", lines["0.bn1"].Reason);
        Assert.Contains("TorchSharp.Modules.ModuleList<TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>> norms;",
            lines["0.norms.0"].Replacement);
        Assert.Equal("public TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor> Property { get; private set; }",
            lines["0.<Property>k__BackingField"].Replacement);
        Assert.Contains("hash table", lines["0.bn2"].Reason);
        Assert.Contains("delegate", lines["0.bn3"].Reason);
        Assert.Equal(modules.SkipLast(0).Where(m => m.name != "1"), model.named_modules().Where(m => m.name != "1"));
        Assert.Contains("to      private readonly TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor> bn1;", report.ToString());
    }

    [Fact]
    public void What_can_not_be_operated_on_is_an_error_and_unchanged()
    {
        using var duplicate = nn.Sequential(("bn", nn.BatchNorm2d(3)), ("bn", nn.BatchNorm2d(3)));
        Assert.Contains("the name 'bn'", Assert.Throws<InvalidOperationException>(() => stab.nn.utils.swap_norms_(duplicate)).Message);
        Assert.All(duplicate.children(), m => Assert.IsType<BatchNorm2d>(m));

        var gone = nn.Conv2d(3, 3, 1);
        using var broken = nn.Sequential(nn.BatchNorm2d(3), nn.Sequential(("c", gone)));
        gone.Dispose();
        Assert.Contains("'1.c'", Assert.Throws<ObjectDisposedException>(() => stab.nn.utils.swap_norms_(broken)).Message);
        Assert.IsType<BatchNorm2d>(broken[0]);

        using var script = jit.load(Path.Combine(AppContext.BaseDirectory, "Golden", "fuse.pt"));
        Assert.Contains("script module", Assert.Throws<InvalidOperationException>(() => stab.nn.utils.swap_norms_(script)).Message);
        using var norm = nn.BatchNorm2d(3);
        Assert.Equal("model", Assert.Throws<ArgumentException>(() => stab.nn.utils.swap_norms_(norm)).ParamName);
        Assert.Throws<ArgumentNullException>(() => stab.nn.utils.swap_norms_(null!));
    }

    [Fact]
    public void A_filter_that_throws_leaves_the_model_unchanged()
    {
        using var model = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3));
        Assert.Throws<FormatException>(() => stab.nn.utils.swap_norms_(model, new SwapOptions { Filter = p => p == "0" ? true : throw new FormatException() }));
        Assert.All(model.children(), m => Assert.IsType<BatchNorm2d>(m));
    }
}
