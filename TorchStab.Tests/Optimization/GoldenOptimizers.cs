using System.Text.Json;
using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using Ours = TorchStab.Modules;

namespace TorchStab.Tests.Optimization;

/// <summary>Builds and drives what a case of the golden suite <c>optim</c> describes.</summary>
internal static class GoldenOptimizers
{
    public static List<Parameter> Parameters(GoldenCase c) =>
        [.. Enumerable.Range(0, 3).Select(k => new Parameter(c.ExpectsError ? zeros(2) : c[$"param_p{k}"].clone()))];

    public static Ours.ClippingAwareOptimizer Stab(GoldenCase c, List<Parameter> parameters)
    {
        var groups = Groups(c, parameters);
        double beta1 = Beta(c.Params, 0) ?? 0.9, beta2 = Beta(c.Params, 1) ?? 0.999, eps = Or(c, "eps", 1e-8), momentum = Or(c, "momentum", 0);
        return c.Op switch
        {
            "Adam" => stab.optim.Adam(groups.Select(g =>
                new Ours.Adam.ParamGroup(g.Parameters, g.Number("lr"), g.Beta(0), g.Beta(1), g.Number("eps"), g.Number("weight_decay"))),
                Or(c, "lr", 1e-3), beta1, beta2, eps, Or(c, "weight_decay", 0), c.Flag("amsgrad"), c.Flag("maximize")),
            "AdamW" => stab.optim.AdamW(groups.Select(g =>
                new Ours.AdamW.ParamGroup(g.Parameters, g.Number("lr"), g.Beta(0), g.Beta(1), g.Number("eps"), g.Number("weight_decay"))),
                Or(c, "lr", 1e-3), beta1, beta2, eps, Or(c, "weight_decay", 1e-2), c.Flag("amsgrad"), c.Flag("maximize")),
            "SGD" => stab.optim.SGD(groups.Select(g =>
                new Ours.SGD.ParamGroup(g.Parameters, g.Number("lr"), g.Number("momentum"), g.Number("dampening"), g.Number("weight_decay"))),
                Or(c, "lr", 1e-3), momentum, Or(c, "dampening", 0), Or(c, "weight_decay", 0), c.Flag("nesterov"), c.Flag("maximize")),
            "RMSprop" => stab.optim.RMSprop(groups.Select(g =>
                new Ours.RMSprop.ParamGroup(g.Parameters, g.Number("lr"), g.Number("alpha"), g.Number("eps"), g.Number("weight_decay"), g.Number("momentum"))),
                Or(c, "lr", 0.01), Or(c, "alpha", 0.99), eps, Or(c, "weight_decay", 0), momentum, c.Flag("centered"), c.Flag("maximize")),
            _ => throw new NotSupportedException(c.Op),
        };
    }

    /// <summary>torch.optim's, for what TorchStab only wraps.</summary>
    public static optim.Optimizer Theirs(GoldenCase c, List<Parameter> parameters)
    {
        double lr = Or(c, "lr", 1e-3), decay = Or(c, "weight_decay", 0), eps = Or(c, "eps", 1e-8);
        return c.Op switch
        {
            "Adagrad" => optim.Adagrad(parameters, lr, Or(c, "lr_decay", 0), decay, Or(c, "initial_accumulator_value", 0), Or(c, "eps", 1e-10)),
            "NAdam" => optim.NAdam(parameters, lr, Beta(c.Params, 0) ?? 0.9, Beta(c.Params, 1) ?? 0.999, eps, decay, Or(c, "momentum_decay", 4e-3)),
            "Adamax" => optim.Adamax(parameters, lr, Beta(c.Params, 0) ?? 0.9, Beta(c.Params, 1) ?? 0.999, eps, decay),
            "Adadelta" => optim.Adadelta(parameters, lr, Or(c, "rho", 0.9), Or(c, "eps", 1e-6), decay),
            "RAdam" => optim.RAdam(parameters, lr, Beta(c.Params, 0) ?? 0.9, Beta(c.Params, 1) ?? 0.999, eps, decay),
            _ => throw new NotSupportedException(c.Op),
        };
    }

    public static void Run(GoldenCase c, List<Parameter> parameters, optim.Optimizer optimizer, Func<StepReport> report)
    {
        for (int step = 1; step <= c.Json.GetProperty("steps").GetInt32(); step++)
        {
            Prepare(c, parameters, optimizer, step);
            optimizer.step();
            if (c.Json.TryGetProperty("total_norms", out var norms))
                Assert.Equal(norms[step - 1].GetDouble(), report().GradNorm, norms[step - 1].GetDouble() * Tolerance.Float32);
            for (int k = 0; k < parameters.Count; k++)
                if (c.Has($"s{step}_p{k}")) c.Check($"s{step}_p{k}", parameters[k]);
        }
    }

    public static void CheckState(GoldenCase c, OptimizerHelper optimizer)
    {
        var states = optimizer.state_dict().State;
        foreach (string role in c.Roles.Where(r => r.StartsWith("state_p", StringComparison.Ordinal)))
        {
            string name = role["state_p0_".Length..];
            var state = states[role["state_p".Length] - '0'];
            object? value = state.GetType().GetField(name)?.GetValue(state);
            c.Check(role, value is long n ? tensor((double)n, c[role].dtype) : (Tensor?)value);
        }
    }

    public static double Or(GoldenCase c, string name, double otherwise) => c.Number(name) ?? otherwise;

    public static double? Beta(JsonElement options, int i) =>
        options.ValueKind == JsonValueKind.Object && options.TryGetProperty("betas", out var b) ? b[i].GetDouble() : null;

    public static IReadOnlyList<Group> Groups(GoldenCase c, List<Parameter> parameters)
    {
        if (!c.Json.TryGetProperty("param_groups", out var groups)) return [new(parameters, default)];
        return [.. groups.EnumerateArray().Select(g => new Group([.. g.GetProperty("params").EnumerateArray().Select(i => parameters[i.GetInt32()])], g))];
    }

    private static Tensor Fixture(GoldenCase c, string role) =>
        GoldenSuite.Load("optim").Buffer($"fixture_{c.Json.GetProperty("dtype").GetString()}__{role}");

    private static void Prepare(GoldenCase c, List<Parameter> parameters, optim.Optimizer optimizer, int step)
    {
        if (c.Json.TryGetProperty("lr_from_step", out var rates) && rates.TryGetProperty($"{step}", out var rate))
            foreach (var group in optimizer.ParamGroups) group.LearningRate = rate.GetDouble();
        var without = c.Json.TryGetProperty("no_grad_at", out var none) && none.TryGetProperty($"{step}", out var list)
            ? list.EnumerateArray().Select(i => i.GetInt32()).ToHashSet() : [];
        for (int k = 0; k < parameters.Count; k++) parameters[k].grad = without.Contains(k) ? null : Fixture(c, $"grad_s{step}_p{k}").clone();
    }

    /// <summary>A parameter group of the case; options it does not name are null.</summary>
    internal sealed record Group(List<Parameter> Parameters, JsonElement Options)
    {
        public double? Number(string name) => Options.ValueKind == JsonValueKind.Object && Options.TryGetProperty(name, out var v)
            ? GoldenCase.ToNumber(v) : null;

        public double? Beta(int i) => GoldenOptimizers.Beta(Options, i);
    }
}
