using System.Reflection;
using TorchSharp.Modules;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Optimization;

/// <summary>
/// A step that is refused because of the last parameter changes nothing of the first, and the same step goes through once the fault is mended.
/// </summary>
public class StepRefusalTests
{
    // What goes wrong with a parameter of shape (2, 3), and what the refusal says.
    private static readonly Dictionary<string, (string words, Action<Parameter, MomentState> spoil)> Faults = new()
    {
        ["gradient transposed"] = ("data of a different size: expected [2, 3], got [3, 2]", (p, _) => p.grad = randn(3, 2)),
        ["gradient flat"] = ("data of a different size: expected [2, 3], got [6]", (p, _) => p.grad = randn(6)),
        ["gradient of more dimensions"] = ("expected [2, 3], got [2, 3, 1]", (p, _) => p.grad = randn(2, 3, 1)),
        ["gradient that broadcasts"] = ("expected [2, 3], got [3]", (p, _) => p.grad = randn(3)),
        ["gradient resized"] = ("expected [2, 3], got [3, 2]", (p, _) => p.grad = randn(2, 3).set_(randn(3, 2))),
        ["gradient transposed, strided"] = ("expected [2, 3], got [3, 2]", (p, _) => p.grad = randn(2, 3).t()),
        ["gradient complex"] = ("data of a different type: expected a floating dtype as Float32, got ComplexFloat32",
            (p, _) => p.grad = complex(randn(2, 3), randn(2, 3))),
        ["gradient of integers"] = ("data of a different type", (p, _) => p.grad = ones(2, 3, ScalarType.Int64)),
        ["gradient elsewhere"] = ("data located on a different device", (p, _) => p.grad = ones(2, 3, device: META)),
        ["gradient sparse"] = ("is sparse", (p, _) => p.grad = randn(2, 3).to_sparse()),
        ["parameter expanded"] = ("single memory location", (p, _) => p.set_(randn(1, 3).expand(2, 3))),
        ["parameter transposed in place"] = ("expected [3, 2], got [2, 3]", (p, _) => p.transpose_(0, 1)),
        ["moment of another shape"] = ("of shape [2, 3], got [3, 2]", (_, s) => Exchange(s, m => m.reshape(3, 2))),
        ["moment reshaped in place"] = ("of shape [2, 3], got [2, 3, 1]", (_, s) => Moment(s).GetValue(s).As<Tensor>().unsqueeze_(-1)),
        ["moment resized in place"] = ("of shape [2, 3], got [3, 2]", (_, s) => Moment(s).GetValue(s).As<Tensor>().set_(zeros(3, 2))),
        ["moment of integers"] = ("of Float32, got Int32", (_, s) => Exchange(s, m => m.to(ScalarType.Int32))),
        ["moment elsewhere"] = ("got meta", (_, s) => Exchange(s, m => m.to(META))),
        ["moment expanded"] = ("single memory location", (_, s) => Exchange(s, m => zeros(1, 3).expand(2, 3))),
        ["moment disposed"] = ("was disposed", (_, s) => Moment(s).GetValue(s).As<Tensor>().Dispose()),
        ["moment of inference mode"] = ("Inplace update to inference tensor outside InferenceMode", (_, s) => Exchange(s, OfInferenceMode)),
    };

    public static TheoryData<string, string> Cases
    {
        get
        {
            var cases = new TheoryData<string, string>();
            foreach (string fault in Faults.Keys)
                foreach (string kind in Make.Optimizers.Keys)
                    if (kind != "plain SGD" || !fault.StartsWith("moment", StringComparison.Ordinal)) cases.Add(fault, kind); // plain SGD has none
            return cases;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void A_refused_step_changes_nothing(string fault, string kind)
    {
        using var scope = NewDisposeScope();
        var (words, spoil) = Faults[fault];
        var (a, b) = (New(kind), New(kind));
        using (a.optimizer)
        using (b.optimizer)
        {
            var whole = Memento(a);
            using (no_grad()) spoil(a.parameters[1], State(a.optimizer, 1));
            for (int again = 0; again < 2; again++)
            {
                var error = Assert.Throws<InvalidOperationException>(() => a.optimizer.step());
                Assert.Contains(words, error.Message, StringComparison.Ordinal);
                Assert.Contains("second", error.Message, StringComparison.Ordinal);
            }
            AssertWhole(whole, a);
            Mend(a, b);
            a.optimizer.step();
            b.optimizer.step();
            foreach (var (p, q) in a.parameters.Zip(b.parameters)) Compare.Identical(q, p, "parameter");
            Assert.Equal(b.optimizer.LastStep, a.optimizer.LastStep);
            Assert.Equal(b.optimizer.Counters, a.optimizer.Counters);
        }
    }

    [Theory, MemberData(nameof(ClippingAwareOptimizerTests.Kinds), MemberType = typeof(ClippingAwareOptimizerTests))]
    public void Options_set_to_what_makes_NaN_are_refused_by_the_next_step(string kind)
    {
        using var scope = NewDisposeScope();
        var a = New(kind);
        using var optimizer = a.optimizer;
        var options = ((ParamGroup)optimizer.ParamGroups.Single()).Options;
        foreach (var property in options.GetType().GetProperties().Where(p => p.PropertyType == typeof(double?)))
        {
            object? before = property.GetValue(options);
            foreach (double value in new[] { double.NaN, -1, double.PositiveInfinity, 1e308 })
            {
                bool threshold = property.Name.Contains("clip", StringComparison.Ordinal), dampening = property.Name == "dampening";
                if ((threshold && value > 0) || (dampening && value == -1 && kind != "SGD Nesterov")) continue; // clips nothing; PyTorch takes a negative one
                var whole = Memento(a);
                property.SetValue(options, value);
                var error = Assert.Throws<ArgumentException>(() => optimizer.step());
                Assert.Equal(property.Name == "LearningRate" ? "lr" : dampening && value == -1 ? "nesterov" : property.Name, error.ParamName);
                AssertWhole(whole, a);
                property.SetValue(options, before);
            }
        }
        optimizer.step();
        Assert.True(a.parameters[0].isfinite().all().item<bool>());
    }

    [Fact]
    public void A_step_count_below_zero_is_refused_wherever_it_enters()
    {
        using var scope = NewDisposeScope();
        foreach (string kind in new[] { "Adam amsgrad", "AdamW", "RMSprop centered" })
        {
            var (a, b) = (New(kind), New(kind));
            var whole = Memento(a);
            var step = State(b.optimizer, 1).GetType().GetField("step")!;
            step.SetValue(State(b.optimizer, 1), -5L);
            Assert.Contains("at least 0, got -5", Assert.Throws<InvalidOperationException>(() => b.optimizer.step()).Message, StringComparison.Ordinal);
            Assert.Contains("got -5", Assert.Throws<InvalidOperationException>(() => a.optimizer.load_state_dict(b.optimizer.state_dict())).Message,
                StringComparison.Ordinal);
            using var file = new MemoryStream();
            b.optimizer.save_state_dict(new BinaryWriter(file));
            file.Position = 0;
            Assert.Contains("got -5", Assert.Throws<InvalidDataException>(() => a.optimizer.load_state_dict(new BinaryReader(file))).Message,
                StringComparison.Ordinal);
            AssertWhole(whole, a);
            (a.optimizer as IDisposable).Dispose();
            (b.optimizer as IDisposable).Dispose();
        }
    }

    [Theory, MemberData(nameof(ClippingAwareOptimizerTests.Kinds), MemberType = typeof(ClippingAwareOptimizerTests))]
    public void One_bad_value_in_what_is_loaded_changes_nothing(string kind)
    {
        using var scope = NewDisposeScope();
        var (a, b) = (New(kind), New(kind));
        using var first = a.optimizer;
        using var second = b.optimizer;
        second.step();
        var whole = Memento(a);
        ((ParamGroup)second.ParamGroups.Single()).LearningRate = double.NaN;
        Assert.Equal("lr", Assert.Throws<ArgumentException>(() => first.load_state_dict(second.state_dict())).ParamName);
        using var file = new MemoryStream();
        second.save_state_dict(new BinaryWriter(file));
        file.Position = 0;
        Assert.Contains("Invalid learning rate: nan", Assert.Throws<InvalidDataException>(() => first.load_state_dict(new BinaryReader(file))).Message,
            StringComparison.Ordinal);
        ((ParamGroup)second.ParamGroups.Single()).LearningRate = 0.01;
        if (kind != "plain SGD")
        {
            var (state, field) = (State(second, 1), Moment(State(second, 1)));
            var kept = (Tensor)field.GetValue(state)!;
            foreach (var change in new Func<Tensor, Tensor?>[] { m => m.to(ScalarType.ComplexFloat32), m => m.reshape(6), m => m.to(META), _ => null })
            {
                field.SetValue(state, change(kept)?.DetachFromDisposeScope());
                if (kind == "SGD Nesterov" && field.GetValue(state) is null) continue; // SGD's first step makes the buffer
                Assert.Throws<InvalidOperationException>(() => first.load_state_dict(second.state_dict()));
            }
            field.SetValue(state, kept);
        }
        AssertWhole(whole, a);
    }

    [Fact]
    public void A_window_stays_due_when_its_step_is_refused()
    {
        using var scope = NewDisposeScope();
        var (first, second) = (Make.Parameter(full(2, 4f)), Make.Parameter(full(2, 4f)));
        using var own = stab.optim.SGD([("first", first), ("second", second)], 1);
        using var around = stab.optim.ClippedOptimizer(optim.SGD([first, second], 1), GradientClip.ByGlobalNorm(100));
        own.accumulate(2);
        around.accumulate(2);
        foreach (var (step, expected) in new (Action, float)[] { (() => own.step(), -1f), (() => around.step(), -3f) })
        {
            step();
            second.grad = ones(1);
            for (int again = 0; again < 2; again++) Assert.Throws<InvalidOperationException>(step);
            second.grad = full(2, 4f);
            step();
            Compare.Close(full(2, expected), first, "the mean of the window");
        }
    }

    [Fact]
    public void A_window_stays_due_when_its_gradients_are_not_finite_and_not_skipped()
    {
        using var scope = NewDisposeScope();
        var (first, second) = (Make.Parameter(full(2, 4f)), Make.Parameter(full(2, 4f)));
        using var own = stab.optim.SGD([first, second], 1, nonFinite: NonFinitePolicy.Throw);
        using var around = stab.optim.ClippedOptimizer(optim.SGD([first, second], 1), GradientClip.ByGlobalNorm(100), NonFinitePolicy.Throw);
        own.accumulate(2);
        around.accumulate(2);
        foreach (var (step, expected) in new (Action, float)[] { (() => own.step(), -1f), (() => around.step(), -3f) })
        {
            step();
            second.grad = full(2, double.NaN);
            for (int again = 0; again < 2; again++) Assert.Throws<InvalidOperationException>(step);
            second.grad = full(2, 4f);
            step();
            Compare.Close(full(2, expected), first, "the mean of the window");
        }
    }

    [Fact]
    public void A_parameter_of_inference_mode_is_stepped_there_and_refused_elsewhere()
    {
        using var scope = NewDisposeScope();
        Parameter locked;
        using (inference_mode()) locked = new Parameter(ones(2), requires_grad: false) { grad = ones(2) };
        var open = Make.Parameter(ones(2));
        using var optimizer = stab.optim.SGD([("open", open), ("locked", locked)], 1, momentum: 0.9);
        var error = Assert.Throws<InvalidOperationException>(() => optimizer.step());
        Assert.Contains("Inplace update to inference tensor outside InferenceMode is not allowed", error.Message, StringComparison.Ordinal);
        Assert.Contains("locked", error.Message, StringComparison.Ordinal);
        Compare.Identical(ones(2), open, "not stepped");
        using (inference_mode()) optimizer.step();
        Compare.Identical(zeros(2), locked, "stepped");
        Compare.Identical(zeros(2), open, "stepped");
        optimizer.MomentDtype = ScalarType.Float64; // the tensor-op form updates what inference mode made
        locked.grad = null;
        optimizer.step();
        Compare.Close(full(2, -1.9f), open, "stepped outside");
    }

    private static (ClippingAwareOptimizer optimizer, Parameter[] parameters) New(string kind)
    {
        manual_seed(3);
        Parameter[] parameters = [new(randn(2, 3)), new(randn(2, 3))];
        var optimizer = Make.Optimizers[kind]([("first", parameters[0]), ("second", parameters[1])]);
        optimizer.WriteBackClippedGrads = true;
        optimizer.Clip = GradientClip.ZScore(warmup: 1, zThreshold: 0.1);
        for (int step = 0; step < 3; step++)
        {
            foreach (var p in parameters) p.grad = randn(2, 3).mul_(step + 1);
            if (step < 2) optimizer.step();
        }
        return (optimizer, parameters);
    }

    // The states of the first parameter, its gradient and values, and what the rule remembers.
    private static (Tensor[] tensors, StepCounters counters, StepReport last) Memento((ClippingAwareOptimizer optimizer, Parameter[] parameters) a) =>
        ([.. Tensors(a).Select(t => t.detach().clone())], a.optimizer.Counters, a.optimizer.LastStep);

    private static IEnumerable<Tensor> Tensors((ClippingAwareOptimizer optimizer, Parameter[] parameters) a)
    {
        var state = State(a.optimizer, 0);
        var moments = state.GetType().GetFields().Select(f => f.GetValue(state)).OfType<Tensor>();
        return [a.parameters[0], a.parameters[0].grad!, .. moments];
    }

    private static void AssertWhole((Tensor[] tensors, StepCounters counters, StepReport last) before,
        (ClippingAwareOptimizer optimizer, Parameter[] parameters) a)
    {
        foreach (var (expected, actual) in before.tensors.Zip(Tensors(a))) Compare.Identical(expected, actual, "as before");
        Assert.Equal((before.counters, before.last), (a.optimizer.Counters, a.optimizer.LastStep));
    }

    // Puts the second parameter, its gradient and its state as the twin has them.
    private static void Mend((ClippingAwareOptimizer optimizer, Parameter[] parameters) a, (ClippingAwareOptimizer optimizer, Parameter[] parameters) twin)
    {
        using var _ = no_grad();
        a.parameters[1].set_(twin.parameters[1].detach().clone());
        a.parameters[1].grad = twin.parameters[1].grad!.clone();
        State(a.optimizer, 1).LoadStateDict(State(twin.optimizer, 1));
    }

    private static MomentState State(ClippingAwareOptimizer optimizer, int i) => (MomentState)optimizer.state_dict().State[i];

    private static Tensor OfInferenceMode(Tensor moment)
    {
        using var mode = inference_mode();
        return zeros_like(moment);
    }

    private static FieldInfo Moment(MomentState state) =>
        state.GetType().GetFields().First(f => f.FieldType == typeof(Tensor) && f.GetValue(state) is not null);

    private static void Exchange(MomentState state, Func<Tensor, Tensor> change)
    {
        var field = Moment(state);
        field.SetValue(state, change((Tensor)field.GetValue(state)!).DetachFromDisposeScope());
    }
}

file static class Casts
{
    public static T As<T>(this object? value) => (T)value!;
}
