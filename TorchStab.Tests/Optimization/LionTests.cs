using TorchSharp.Modules;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchSharp.torch.optim;

namespace TorchStab.Tests.Optimization;

/// <summary>
/// The seam by which an optimizer is added: what <see cref="Lion"/> does not say itself, the tables and the base do. What every optimizer has in common is
/// tested here once more, since the library's own could do it by other means.
/// </summary>
public class LionTests
{
    private static readonly Dictionary<string, Func<Parameter[], ClippingAwareOptimizer>> Everything = new()
    {
        ["Adam"] = p => stab.optim.Adam(p),
        ["AdamW"] = p => stab.optim.AdamW(p),
        ["SGD"] = p => stab.optim.SGD(p, 1),
        ["RMSprop"] = p => stab.optim.RMSprop(p),
        ["Lion"] = p => New(p),
    };

    public static TheoryData<string> Names => [.. Everything.Keys];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Steps_follow_the_formula_with_decay_and_clipping(bool together)
    {
        using var scope = NewDisposeScope();
        var random = new Random(7);
        double[][] p = Draw(random), m = [new double[3], new double[5]];
        Parameter[] parameters = [.. p.Select(x => new Parameter(tensor(x)))];
        using var lion = New(parameters, new() { weight_decay = 0.3, clipnorm = together ? null : 0.5, global_clipnorm = together ? 0.5 : null });
        for (int step = 0; step < 6; step++)
        {
            double[][] g = Draw(random);
            for (int k = 0; k < 2; k++) parameters[k].grad = tensor(g[k]);
            lion.step();
            double all = Norm(g.SelectMany(x => x));
            for (int k = 0; k < 2; k++) Reference(p[k], g[k], m[k], scale: 0.5 / Math.Max(together ? all : Norm(g[k]), 0.5));
            for (int k = 0; k < 2; k++) Compare.Close(tensor(p[k]), parameters[k], $"parameter {k} after step {step}");
            Assert.Equal(all, lion.LastStep.GradNorm, Tolerance.Float64);
        }
        Compare.Close(tensor(m[1]), State(lion, 1).exp_avg, "exp_avg");
    }

    [Fact]
    public void A_saved_state_continues_bit_for_bit()
    {
        using var scope = NewDisposeScope();
        using Sequential a = Make.Network(1), b = Make.Network(2);
        using Lion from = New(a.parameters(), new() { beta1 = 0.8, weight_decay = 0.1, global_clipnorm = 0.1 }),
            into = New(b.parameters(), new() { global_clipnorm = 0.1 });
        for (int step = 0; step < 3; step++) ClippingAwareOptimizerTests.Step(from, a, step);
        using var file = new MemoryStream();
        from.save_state_dict(new BinaryWriter(file));
        b.load_state_dict(a.state_dict());
        file.Position = 0;
        into.load_state_dict(new BinaryReader(file));
        Assert.Equal(file.Length, file.Position);
        Assert.True(from.state_dict().State[0].ApproximatelyEquals(into.state_dict().State[0]));
        for (int step = 3; step < 6; step++)
        {
            ClippingAwareOptimizerTests.Step(from, a, step);
            ClippingAwareOptimizerTests.Step(into, b, step);
        }
        foreach (var (x, y) in a.parameters().Zip(b.parameters())) Compare.Identical(x, y, "parameter");
        using var adam = stab.optim.Adam(a.parameters());
        Assert.Contains("expected the state of Lion, got TorchStab.Modules.Adam",
            Assert.Throws<InvalidOperationException>(() => from.load_state_dict(adam.state_dict())).Message, StringComparison.Ordinal);
        file.Position = 0;
        Assert.Contains("expected 'Adam', but found 'Lion'", Assert.Throws<InvalidDataException>(() => adam.load_state_dict(new BinaryReader(file))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_group_keeps_what_it_says_and_takes_the_rest()
    {
        using var scope = NewDisposeScope();
        Parameter[] p = [.. Enumerable.Range(0, 3).Select(_ => Make.Parameter(full(1, 3.0, ScalarType.Float64)))];
        using var lion = new Lion([new([("a", p[0])]), new([p[1]], new() { LearningRate = 0.5, weight_decay = 1, maximize = true, clipnorm = 1 })],
            new() { LearningRate = 0.25, beta1 = 0.9, beta2 = 0.5, weight_decay = 0, maximize = false });
        lion.add_param_group(new Lion.ParamGroup([p[2]], new() { beta2 = 0 }));
        lion.step();
        Assert.Equal([0.75, 1.0, 0.75], p.Select(x => x.item<double>())); // 1 − 0.25; (1 − 0.5)·1 + 0.5; 1 − 0.25
        Assert.Equal([1.5, -0.5, 3.0], Enumerable.Range(0, 3).Select(k => State(lion, k).exp_avg.item<double>())); // half of g; of −g, clipped to 1; g
        Assert.Throws<ArgumentException>("param_group", () => lion.add_param_group(new TorchStab.Modules.Adam.ParamGroup([Make.Parameter(ones(1))])));
        Assert.Contains("Invalid beta parameter at index 1: 1.0; expected a number in [0, 1)",
            Assert.Throws<ArgumentException>("beta2", () => New([Make.Parameter(ones(1))], new() { beta2 = 1 })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Schedulers_drive_the_rate_and_the_betas()
    {
        using var scope = NewDisposeScope();
        var p = Make.Parameter(full(1, 1.0, ScalarType.Float64));
        using var lion = New([p], new() { LearningRate = 0.5 });
        var halve = lr_scheduler.StepLR(lion, 1, 0.5);
        for (int step = 0; step < 3; step++)
        {
            lion.step();
            halve.step();
        }
        Assert.Equal(1 - 0.5 - 0.25 - 0.125, p.item<double>());
        using var adam = stab.optim.Adam([Make.Parameter(ones(1))]);
        var schedulers = new Optimizer[] { lion, adam }.Select(o => lr_scheduler.OneCycleLR(o, 0.1, total_steps: 4)).ToList();
        foreach (int _ in Enumerable.Range(0, 3))
        {
            var (mine, adams) = ((Lion.ParamGroup)lion.ParamGroups.Single(), (TorchStab.Modules.Adam.ParamGroup)adam.ParamGroups.Single());
            Assert.Equal((adams.LearningRate, adams.Betas.Item1, 0.99), (mine.LearningRate, mine.Betas.Item1, mine.Betas.Item2));
            schedulers.ForEach(s => s.step());
        }
        p.grad = full(1, double.NaN, ScalarType.Float64);
        lion.step();
        Assert.True(lion.LastStep.Skipped);
    }

    [Fact]
    public void A_step_leaves_no_tensor()
    {
        using var scope = NewDisposeScope();
        using var lion = New([Make.Parameter(randn(3, ScalarType.BFloat16)), Make.Parameter(randn(3))]);
        LiveTensors.AssertNoneLeft(() => lion.step());
    }

    /// <summary>An option that a table leaves out is not checked, nor saved; only thresholds and master_weights may be null.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Every_option_is_in_its_table(string name)
    {
        using var scope = NewDisposeScope();
        using var optimizer = Everything[name]([Make.Parameter(ones(2))]);
        var options = ((ParamGroup)optimizer.ParamGroups.Single()).Options;
        foreach (var property in options.GetType().GetProperties()
            .Where(p => Nullable.GetUnderlyingType(p.PropertyType) is not null && !p.Name.Contains("clip", StringComparison.Ordinal)
                && p.Name != nameof(ClipOptions.master_weights)))
        {
            object? before = property.GetValue(options);
            property.SetValue(options, null);
            Assert.Throws<ArgumentException>(property.Name == "LearningRate" ? "lr" : property.Name, () => optimizer.step());
            property.SetValue(options, before);
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Every_field_of_a_state_is_in_its_table(string name)
    {
        using var scope = NewDisposeScope();
        using var optimizer = Everything[name]([Make.Parameter(ones(2))]);
        var state = (MomentState)optimizer.state_dict().State.Single();
        string[] moments = [.. state.Table.All.Select(m => m.Name)], counter = state.Table.Steps is null ? [] : ["step"];
        Assert.Equal(moments.Concat(counter).Order(), state.GetType().GetFields().Select(f => f.Name).Order());
    }

    private static Lion New(IEnumerable<Parameter> parameters, Lion.Options? options = null)
    {
        options ??= new();
        options.FillFrom(new Lion.Options { LearningRate = 0.01, beta1 = 0.9, beta2 = 0.99, weight_decay = 0, maximize = false });
        return new([new(parameters)], options);
    }

    private static void Reference(double[] p, double[] g, double[] m, double scale)
    {
        for (int i = 0; i < p.Length; i++)
        {
            double clipped = scale * g[i], c = (0.9 * m[i]) + ((1 - 0.9) * clipped);
            p[i] -= 0.01 * (Math.Sign(c) + (0.3 * p[i]));
            m[i] = (0.99 * m[i]) + ((1 - 0.99) * clipped);
        }
    }

    private static double[][] Draw(Random random) => [.. new[] { 3, 5 }.Select(n => Enumerable.Range(0, n).Select(_ => random.NextDouble() - 0.5).ToArray())];

    private static double Norm(IEnumerable<double> x) => Math.Sqrt(x.Sum(v => v * v));

    private static Lion.State State(Lion lion, int k) => (Lion.State)lion.state_dict().State[k];
}
