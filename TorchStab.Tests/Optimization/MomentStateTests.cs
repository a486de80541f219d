using TorchSharp.Modules;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using Adam = TorchStab.Modules.Adam;
using SGD = TorchStab.Modules.SGD;

namespace TorchStab.Tests.Optimization;

/// <summary>The state of a parameter: what there is of it, its dtype, its memory.</summary>
public class MomentStateTests
{
    public static TheoryData<string> Kinds => ClippingAwareOptimizerTests.Kinds;

    [Fact]
    public void Moments_are_those_that_the_options_need()
    {
        using var scope = NewDisposeScope();
        Parameter[] p = [Make.Parameter(ones(2))];
        using var plain = stab.optim.RMSprop(p);
        using var full = stab.optim.RMSprop(p, momentum: 0.9, centered: true);
        using var amsgrad = stab.optim.Adam(p, amsgrad: true);
        Assert.Equal(["square_avg"], Names(plain));
        Assert.Equal(["grad_avg", "momentum_buffer", "square_avg"], Names(full));
        Assert.Equal(["exp_avg", "exp_avg_sq", "max_exp_avg_sq"], Names(amsgrad));
        plain.step();
        plain.step();
        Assert.Equal(["square_avg"], Names(plain));
        Assert.Equal(2, ((RMSprop.State)State(plain)).step);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void What_takes_the_place_of_a_state_frees_it(string kind)
    {
        using var scope = NewDisposeScope();
        Parameter p = Make.Parameter(ones(2)), wider = Make.Parameter(ones(3));
        using var optimizer = Make.Optimizers[kind]([("p", p)]);
        using var source = Make.Optimizers[kind]([("p", p)]);
        optimizer.step();
        source.step();
        var old = Tensors(optimizer);
        optimizer.load_state_dict(source.state_dict());
        Assert.All(old, t => Assert.True(t.IsInvalid));
        old = Tensors(optimizer);
        optimizer.rebind([("p", wider)]);
        Assert.All(old, t => Assert.True(t.IsInvalid));
        Assert.All(Tensors(optimizer), t => Compare.Identical(zeros(3), t, "anew"));
        old = Tensors(optimizer);
        optimizer.Dispose();
        Assert.All(old, t => Assert.True(t.IsInvalid));
        Assert.Empty(optimizer.ParamGroups);
        Assert.Throws<ObjectDisposedException>(() => optimizer.step());
        optimizer.Dispose();
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_state_of_another_shape_is_refused_and_changes_nothing(string kind)
    {
        using var scope = NewDisposeScope();
        using var optimizer = Make.Optimizers[kind]([("p", Make.Parameter(ones(2)))]);
        using var other = Make.Optimizers[kind]([("q", Make.Parameter(ones(3)))]);
        optimizer.step();
        other.step();
        if (Tensors(optimizer).Count == 0) return; // SGD without momentum
        var before = Tensors(optimizer).ConvertAll(t => t.clone());
        string words = Assert.Throws<InvalidOperationException>(() => State(optimizer).LoadStateDict(State(other))).Message;
        Assert.Contains("expected state of shape [2], got [3]", words, StringComparison.Ordinal);
        foreach (var (expected, actual) in before.Zip(Tensors(optimizer))) Compare.Identical(expected, actual, "state");
    }

    [Fact]
    public void A_moment_that_one_lacks_makes_two_states_differ()
    {
        using var scope = NewDisposeScope();
        Parameter[] p = [Make.Parameter(ones(2))];
        using SGD stepped = stab.optim.SGD(p, 1, 0.9), fresh = stab.optim.SGD(p, 1, 0.9), alike = stab.optim.SGD(p, 1, 0.9);
        stepped.step();
        Assert.False(State(stepped).ApproximatelyEquals(State(fresh)));
        Assert.False(State(fresh).ApproximatelyEquals(State(stepped)));
        Assert.True(State(fresh).ApproximatelyEquals(State(alike)));
    }

    [Fact]
    public void Moments_keep_their_dtype_through_groups_states_and_files()
    {
        using var scope = NewDisposeScope();
        Parameter Half() => Make.Parameter(full(2, 0.5f, ScalarType.BFloat16));
        using var wide = stab.optim.Adam([Half()]);
        wide.MomentDtype = ScalarType.Float32;
        wide.add_param_group(new Adam.ParamGroup([Half()]));
        using var narrow = stab.optim.Adam([new Adam.ParamGroup([Half()]), new([Half()])]);
        narrow.MomentDtype = ScalarType.BFloat16;
        narrow.step();
        Assert.All(Tensors(narrow), t => Assert.Equal(ScalarType.BFloat16, t.dtype));
        wide.load_state_dict(narrow.state_dict());
        Assert.All(Tensors(wide), t => Assert.Equal(ScalarType.Float32, t.dtype));
        foreach (var (expected, actual) in Tensors(narrow).Zip(Tensors(wide))) Compare.Identical(expected.to(ScalarType.Float32), actual, "wider");
        var before = Tensors(narrow).ConvertAll(t => t.clone());
        using var file = new MemoryStream();
        narrow.save_state_dict(new BinaryWriter(file));
        narrow.step();
        file.Position = 0;
        narrow.load_state_dict(new BinaryReader(file));
        foreach (var (expected, actual) in before.Zip(Tensors(narrow))) Compare.Identical(expected, actual, "loaded");
    }

    [Fact]
    public void Wide_moments_of_half_parameters_round_once()
    {
        using var scope = NewDisposeScope();
        manual_seed(7);
        var (value, gradient) = (randn(500).half(), randn(500).half());
        Parameter Of(ScalarType dtype) => new(value.to(dtype).detach()) { grad = gradient.to(dtype) };
        var (half, single) = (Of(ScalarType.Float16), Of(ScalarType.Float32));
        using var optimizer = stab.optim.SGD([half], 0.1, momentum: 0.9, weight_decay: 0.3);
        using var exact = stab.optim.SGD([single], 0.1, momentum: 0.9, weight_decay: 0.3);
        optimizer.MomentDtype = ScalarType.Float32;
        optimizer.step();
        using (KernelForm.TensorOps()) exact.step();
        Compare.Identical(single.half(), half, "parameter");
    }

    [Fact]
    public void What_a_state_reads_outlives_the_readers_scope()
    {
        using var scope = NewDisposeScope();
        Parameter[] p = [Make.Parameter(ones(2))];
        using SGD from = stab.optim.SGD(p, 1, 0.9), into = stab.optim.SGD(p, 1, 0.9);
        from.step();
        using var file = new MemoryStream();
        State(from).SaveStateDict(new BinaryWriter(file));
        file.Position = 0;
        using (NewDisposeScope()) State(into).LoadStateDict(new BinaryReader(file));
        Compare.Identical(ones(2), Tensors(into).Single(), "buffer");
        State(into).Dispose();
    }

    private static MomentState State(ClippingAwareOptimizer optimizer) => (MomentState)optimizer.state_dict().State[0];

    private static string[] Names(ClippingAwareOptimizer optimizer) => [.. Moments(State(optimizer)).Select(m => m.name).Order()];

    private static List<Tensor> Tensors(ClippingAwareOptimizer optimizer) => [.. optimizer.state_dict().State.SelectMany(Moments).Select(m => m.tensor)];

    private static IEnumerable<(string name, Tensor tensor)> Moments(OptimizerState state) =>
        state.GetType().GetFields().Select(f => (f.Name, f.GetValue(state) as Tensor)).Where(m => m.Item2 is not null)!;
}
