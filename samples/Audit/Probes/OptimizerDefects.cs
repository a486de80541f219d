using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Audit.Probes;

internal static class OptimizerDefects
{
    public static IReadOnlyList<Defect> All { get; } =
    [
        new("SGD with maximize lets weight decay grow weights", "stab.optim.SGD", Maximize),
        new("AdamW decays nothing by default", "stab.optim.AdamW: 0.01", DefaultDecay),
        new("RAdam multiplies by the learning rate twice", "stab.optim.AdamW with a warm-up; no RAdam", RAdam),
        new("zero_grad lets momentum move idle layers", "stab.optim.*: zero_grad() sets gradients to null", Idle),
        new("one NaN gradient ruins Adam for ever", "stab.optim.*: NonFinitePolicy.Skip", NaN),
        new("a parameter listed twice is updated twice", "stab.optim.*: an error", Twice),
        new("a parameter group forgets the optimizer's learning rate", "stab.optim.*.ParamGroup: what is unset is the optimizer's", Group),
        new("model.to(dtype) breaks the optimizer", "stab.optim.*: step goes on after rebind(model)", Rebind),
        new("a state loaded inside a DisposeScope dies with it", "stab.optim.*: state belongs to no scope", Scope),
        new("OneCycleLR never leaves the first phase of its second group", "none: schedulers are TorchSharp's", OneCycle),
        new("CyclicLR raises momentum over its maximum", "none: schedulers are TorchSharp's", Cyclic),
    ];

    private static string? Maximize()
    {
        var p = New(10, 0);
        optim.SGD([p], 0.1, weight_decay: 0.5, maximize: true).step();
        return p.item<float>() > 10 ? $"10 became {p.item<float>():0.0}, not 9.5" : null;
    }

    private static string? DefaultDecay()
    {
        var p = New(10, 0);
        optim.AdamW([p], 0.1).step();
        return p.item<float>() > 9.995 ? "10 stays 10, not 9.99" : null;
    }

    private static string? RAdam()
    {
        var p = New(0, 1);
        var optimizer = optim.RAdam([p], 0.1);
        for (int i = 0; i < 8; i++) optimizer.step();
        double before = p.item<float>();
        optimizer.step();
        double step = before - p.item<float>();
        return step < 0.01 ? $"the ninth step is {step:0.0000} at lr 0.1" : null;
    }

    private static string? Idle()
    {
        var p = New(1, 1);
        var optimizer = optim.SGD([p], 0.1, momentum: 0.9);
        optimizer.step();
        optimizer.zero_grad();
        optimizer.step();
        return p.item<float>() < 0.89 ? $"0.9 moved to {p.item<float>():0.00} without a gradient" : null;
    }

    private static string? NaN()
    {
        var p = New(10, double.NaN);
        var optimizer = optim.Adam([p], 0.1);
        optimizer.step();
        p.grad = ones(1);
        optimizer.step();
        return float.IsNaN(p.item<float>()) ? "the parameter is NaN" : null;
    }

    private static string? Twice()
    {
        var p = New(1, 1);
        try
        {
            optim.SGD([p, p], 0.1).step();
        }
        catch (Exception)
        {
            return null;
        }
        return p.item<float>() < 0.85 ? "two steps in one" : null;
    }

    private static string? Group()
    {
        var optimizer = optim.AdamW([new AdamW.ParamGroup([New(1, 1)])], 1e-4);
        double lr = optimizer.ParamGroups.Single().LearningRate;
        return lr == 1e-4 ? null : $"{lr} instead of 1E-04";
    }

    private static string? Rebind()
    {
        using var model = nn.Linear(2, 2);
        var optimizer = optim.Adam(model.parameters(), 0.1);
        model.to(ScalarType.Float64);
        model.call(ones(1, 2, ScalarType.Float64)).sum().backward();
        return Failure(() => optimizer.step());
    }

    private static string? Scope()
    {
        var p = New(1, 1);
        var (a, b) = (optim.Adam([p], 0.1), optim.Adam([p], 0.1));
        a.step();
        using (NewDisposeScope()) b.load_state_dict(a.state_dict());
        return Failure(() => b.step());
    }

    private static string? OneCycle()
    {
        var optimizer = optim.SGD([new SGD.ParamGroup([New(1, 1)], 0.1), new SGD.ParamGroup([New(1, 1)], 0.1)], 0.1);
        var scheduler = optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps: 10, cycle_momentum: false);
        for (int i = 0; i < 4; i++) scheduler.step();
        double[] rates = [.. optimizer.ParamGroups.Select(g => g.LearningRate)];
        return Math.Abs(rates[0] - rates[1]) > 1e-6 ? $"after 4 steps {rates[0]:0.00} and {rates[1]:0.00}" : null;
    }

    private static string? Cyclic()
    {
        var optimizer = optim.SGD([New(1, 1)], 0.1, momentum: 0.9);
        var scheduler = optim.lr_scheduler.CyclicLR(optimizer, 0.1, 1, step_size_up: 2, base_momentum: 0.8, max_momentum: 0.9);
        scheduler.step();
        double momentum = ((optim.IMomentum)optimizer.ParamGroups.Single()).Momentum;
        return momentum > 0.9 + 1e-9 ? $"{momentum:0.00}, not 0.85" : null;
    }

    private static string? Failure(Action action)
    {
        try
        {
            action();
            return null;
        }
        catch (Exception e)
        {
            return $"step throws {e.GetType().Name}";
        }
    }

    private static Parameter New(double value, double gradient) => new(tensor(new[] { (float)value })) { grad = tensor(new[] { (float)gradient }) };
}
