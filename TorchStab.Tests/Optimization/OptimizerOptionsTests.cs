using TorchSharp.Modules;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchSharp.torch.optim;
using static TorchStab.Tests.Support.OptimizerFile;
using Adam = TorchStab.Modules.Adam;
using SGD = TorchStab.Modules.SGD;

namespace TorchStab.Tests.Optimization;

/// <summary>Every option of every optimizer: its limits, the way into a group, a file and another optimizer.</summary>
public class OptimizerOptionsTests
{
    private static readonly Dictionary<string, (string argument, Func<Parameter[], ClippingAwareOptimizer> make)> Refusals = new()
    {
        ["lr of Adam"] = ("lr", p => stab.optim.Adam(p, -1e-3)),
        ["lr NaN"] = ("lr", p => stab.optim.SGD(p, double.NaN)),
        ["beta1 below"] = ("beta1", p => stab.optim.Adam(p, beta1: -0.1)),
        ["beta1 above"] = ("beta1", p => stab.optim.AdamW(p, beta1: 1)),
        ["beta2 below"] = ("beta2", p => stab.optim.Adam(p, beta2: -0.1)),
        ["beta2 above"] = ("beta2", p => stab.optim.AdamW(p, beta2: 1)),
        ["eps of Adam"] = ("eps", p => stab.optim.Adam(p, eps: -1e-8)),
        ["decay of AdamW"] = ("weight_decay", p => stab.optim.AdamW(p, weight_decay: -1)),
        ["momentum of SGD"] = ("momentum", p => stab.optim.SGD(p, 1, -0.1)),
        ["decay of SGD"] = ("weight_decay", p => stab.optim.SGD(p, 1, weight_decay: double.NaN)),
        ["nesterov, dampened"] = ("nesterov", p => stab.optim.SGD(p, 1, 0.9, 0.1, nesterov: true)),
        ["nesterov, no momentum"] = ("nesterov", p => stab.optim.SGD(p, 1, 0, nesterov: true)),
        ["alpha"] = ("alpha", p => stab.optim.RMSprop(p, alpha: -0.1)),
        ["eps of RMSprop"] = ("eps", p => stab.optim.RMSprop(p, eps: -1)),
        ["decay of RMSprop"] = ("weight_decay", p => stab.optim.RMSprop(p, weight_decay: -1)),
        ["momentum of RMSprop"] = ("momentum", p => stab.optim.RMSprop(p, momentum: -1)),
        ["lr infinite"] = ("lr", p => stab.optim.Adam(p, double.PositiveInfinity)),
        ["lr beyond float32"] = ("lr", p => stab.optim.SGD(p, 1e308)),
        ["beta2 NaN"] = ("beta2", p => stab.optim.AdamW(p, beta2: double.NaN)),
        ["eps infinite"] = ("eps", p => stab.optim.Adam(p, eps: double.PositiveInfinity)),
        ["decay beyond float32"] = ("weight_decay", p => stab.optim.AdamW(p, weight_decay: 1e308)),
        ["momentum infinite"] = ("momentum", p => stab.optim.SGD(p, 1, double.PositiveInfinity)),
        ["dampening NaN"] = ("dampening", p => stab.optim.SGD(p, 1, 0.9, double.NaN)),
        ["dampening infinite"] = ("dampening", p => stab.optim.SGD(p, 1, 0.9, double.NegativeInfinity)),
        ["alpha above 1"] = ("alpha", p => stab.optim.RMSprop(p, alpha: 1.5)),
        ["norm and value"] = ("clipnorm", p => stab.optim.Adam(p, clipnorm: 1, clipvalue: 1)),
        ["value and global"] = ("clipnorm", p => stab.optim.Adam(p, clipvalue: 1, global_clipnorm: 1)),
        ["clipvalue"] = ("clipvalue", p => stab.optim.SGD(p, 1, clipvalue: -1)),
        ["global_clipnorm"] = ("global_clipnorm", p => stab.optim.RMSprop(p, global_clipnorm: -1)),
    };

    public static TheoryData<string> Cases => [.. Refusals.Keys];

    [Theory, MemberData(nameof(Cases))]
    public void Beyond_its_range_an_option_is_refused_by_name(string which)
    {
        using var scope = NewDisposeScope();
        Assert.Throws<ArgumentException>(Refusals[which].argument, () => Refusals[which].make([Make.Parameter(ones(2))]).Dispose());
    }

    [Fact]
    public void The_ends_of_the_ranges_are_taken()
    {
        using var scope = NewDisposeScope();
        Func<Parameter[], ClippingAwareOptimizer>[] all =
        [
            p => stab.optim.Adam(p, 0, 0, 0, 0, 0, clipnorm: 0), p => stab.optim.AdamW(p, 0, 0, 0, 0, 0, clipvalue: 0),
            p => stab.optim.SGD(p, 0, 0, 0, 0, global_clipnorm: 0), p => stab.optim.RMSprop(p, 0, 0, 0, 0, 0), p => stab.optim.RMSprop(p, 0, 1),
            p => stab.optim.SGD(p, 1, 0.9, 0, nesterov: true),
        ];
        foreach (var make in all) make([Make.Parameter(ones(2))]).Dispose();
    }

    [Fact]
    public void A_group_keeps_what_it_says_and_takes_the_rest()
    {
        using var scope = NewDisposeScope();
        Parameter P() => Make.Parameter(ones(1));
        using var adam = stab.optim.Adam([new Adam.ParamGroup([P()]), new([P()], 0.5, 0.1, 0.2, 0.3, 0.4, false, false)], 1, 0.6, 0.7, 0.8, 0.9, true, true);
        Assert.Equal([(1.0, 0.6, 0.7, 0.8, 0.9, true, true), (0.5, 0.1, 0.2, 0.3, 0.4, false, false)],
            adam.ParamGroups.Cast<Adam.ParamGroup>().Select(g => g.Options)
            .Select(o => (o.LearningRate!.Value, o.beta1!.Value, o.beta2!.Value, o.eps!.Value, o.weight_decay!.Value, o.amsgrad!.Value, o.maximize!.Value)));
        using var sgd = stab.optim.SGD([new SGD.ParamGroup([P()]), new([P()], 0.5, 0.1, 0.2, 0.3, false, false)], 1, 0.6, 0, 0.8, true, true);
        Assert.Equal([(1.0, 0.6, 0.0, 0.8, true, true), (0.5, 0.1, 0.2, 0.3, false, false)], sgd.ParamGroups.Cast<SGD.ParamGroup>().Select(g => g.Options)
            .Select(o => (o.LearningRate!.Value, o.momentum!.Value, o.dampening!.Value, o.weight_decay!.Value, o.nesterov!.Value, o.maximize!.Value)));
        using var rms = stab.optim.RMSprop([new RMSprop.ParamGroup([P()]), new([P()], 0.5, 0.1, 0.2, 0.3, 0.4, false, false)], 1, 0.6, 0.7,
            0.8, 0.9, true, true);
        Assert.Equal([(1.0, 0.6, 0.7, 0.8, 0.9, true, true), (0.5, 0.1, 0.2, 0.3, 0.4, false, false)],
            rms.ParamGroups.Cast<RMSprop.ParamGroup>().Select(g => g.Options)
            .Select(o => (o.LearningRate!.Value, o.alpha!.Value, o.eps!.Value, o.weight_decay!.Value, o.momentum!.Value, o.centered!.Value,
                o.maximize!.Value)));
    }

    [Fact]
    public void Options_go_through_files_and_dictionaries_one_by_one()
    {
        using var scope = NewDisposeScope();
        Func<Parameter[], ClippingAwareOptimizer>[] special =
        [
            p => stab.optim.Adam(p, 0.1, 0.2, 0.3, 0.4, 0.5, true, true), p => stab.optim.AdamW(p, 0.1, 0.2, 0.3, 0.4, 0.5, true, true),
            p => stab.optim.SGD(p, 0.1, 0.2, 0.3, 0.4, false, true), p => stab.optim.SGD(p, 0.1, 0.2, 0, 0.4, true, false),
            p => stab.optim.RMSprop(p, 0.1, 0.2, 0.3, 0.4, 0.5, true, true),
        ];
        Func<Parameter[], ClippingAwareOptimizer>[] plain =
            [p => stab.optim.Adam(p), p => stab.optim.AdamW(p), p => stab.optim.SGD(p, 1), p => stab.optim.SGD(p, 1), p => stab.optim.RMSprop(p)];
        for (int k = 0; k < special.Length; k++)
        {
            Parameter[] parameters = [Make.Parameter(ones(2))];
            using ClippingAwareOptimizer from = special[k](parameters), file = plain[k](parameters), copy = plain[k](parameters);
            from.step();
            from.step();
            byte[] saved = Save(from);
            Assert.NotEqual(saved, Save(file));
            file.load_state_dict(new BinaryReader(new MemoryStream(saved)));
            copy.load_state_dict(from.state_dict());
            Assert.Equal(saved, Save(file));
            Assert.Equal(saved, Save(copy));
            Assert.True(from.state_dict().State[0].ApproximatelyEquals(copy.state_dict().State[0]));
            parameters[0].grad = full(2, 5f);
            copy.step();
            Assert.False(from.state_dict().State[0].ApproximatelyEquals(copy.state_dict().State[0]));
        }
    }

    [Fact]
    public void States_of_another_kind_are_refused_by_name()
    {
        using var scope = NewDisposeScope();
        Parameter[] p = [Make.Parameter(ones(2))];
        using ClippingAwareOptimizer adam = stab.optim.Adam(p), sgd = stab.optim.SGD(p, 1), rms = stab.optim.RMSprop(p);
        Assert.Contains("expected the state of Adam or AdamW, got TorchStab.Modules.SGD", Refused(adam, sgd), StringComparison.Ordinal);
        Assert.Contains("expected the state of SGD, got TorchStab.Modules.RMSprop", Refused(sgd, rms), StringComparison.Ordinal);
        Assert.Contains("expected the state of RMSprop, got TorchStab.Modules.Adam", Refused(rms, adam), StringComparison.Ordinal);
        Assert.False(adam.state_dict().State[0].ApproximatelyEquals(sgd.state_dict().State[0]));
        var error = Assert.Throws<InvalidDataException>(() => adam.load_state_dict(new BinaryReader(new MemoryStream(Save(sgd)))));
        Assert.Contains("Mismatched optimizer type", error.Message, StringComparison.Ordinal);
        Assert.Contains("expected the options of SGD", Assert.Throws<InvalidOperationException>(() => ((SGD.ParamGroup)sgd.ParamGroups.Single()).Options
            .LoadStateDict(((Adam.ParamGroup)adam.ParamGroups.Single()).Options)).Message, StringComparison.Ordinal);

        static string Refused(ClippingAwareOptimizer into, ClippingAwareOptimizer from) =>
            Assert.Throws<InvalidOperationException>(() => into.load_state_dict(from.state_dict())).Message;
    }

    [Fact]
    public void The_momentum_that_schedulers_turn_is_the_optimizers()
    {
        using var scope = NewDisposeScope();
        Parameter[] p = [Make.Parameter(ones(2))];
        using var sgd = stab.optim.SGD(p, 1, 0.9);
        using var rms = stab.optim.RMSprop(p, momentum: 0.8);
        using var adam = stab.optim.Adam(p);
        using var adamw = stab.optim.AdamW(p);
        foreach (var (momentum, value) in new (IMomentum, double)[] { (sgd, 0.9), (rms, 0.8), ((IMomentum)sgd.ParamGroups.Single(), 0.9),
            ((IMomentum)rms.ParamGroups.Single(), 0.8) })
        {
            Assert.Equal(value, momentum.Momentum);
            momentum.Momentum = 0.25;
            Assert.Equal(0.25, momentum.Momentum);
        }
        foreach (var betas in new[] { adam, adamw, (IBetas)adam.ParamGroups.Single(), (IBetas)adamw.ParamGroups.Single() })
        {
            Assert.Equal((0.9, 0.999), betas.Betas);
            betas.Betas = (0.5, 0.75);
            Assert.Equal((0.5, 0.75), betas.Betas);
        }
        using var around = (optim.Optimizer)stab.optim.ClippedOptimizer(stab.optim.SGD(p, 1, 0.9), GradientClip.ByNorm(1));
        using var aroundAdam = (optim.Optimizer)stab.optim.ClippedOptimizer(optim.Adam(p), GradientClip.ByNorm(1));
        ((IMomentum)around).Momentum = 0.125;
        ((IBetas)aroundAdam).Betas = (0.25, 0.5);
        Assert.Equal((0.125, (0.25, 0.5)), (((IMomentum)around).Momentum, ((IBetas)aroundAdam).Betas));
    }
}
