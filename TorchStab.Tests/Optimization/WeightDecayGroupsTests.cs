using TorchStab.Tests.Support;
using static TorchSharp.torch;
using Theirs = TorchSharp.Modules;

namespace TorchStab.Tests.Optimization;

/// <summary>Groups by shape and name: what decays, and that every optimizer takes them.</summary>
public class WeightDecayGroupsTests
{
    [Fact]
    public void Biases_vectors_and_listed_names_do_not_decay()
    {
        using var net = Net();
        var groups = stab.optim.param_groups_weight_decay(net, 0.05, ["embed*"]);
        Assert.Equal(["embed.weight", "norm.weight", "norm.bias", "out.bias"], groups.Undecayed.Select(p => p.name));
        Assert.Equal(["conv.weight", "out.weight"], groups.Decayed.Select(p => p.name));
        Assert.Equal(0.05, groups.WeightDecay);
    }

    [Fact]
    public void A_swap_of_norms_changes_no_group()
    {
        using var net = nn.Sequential(("conv", nn.Conv2d(3, 4, 3)), ("norm", nn.BatchNorm2d(4)));
        var before = stab.optim.param_groups_weight_decay(net);
        stab.nn.utils.swap_norms_(net);
        var after = stab.optim.param_groups_weight_decay(net);
        Assert.Equal(before.ToString(), after.ToString());
    }

    [Fact]
    public void Frozen_parameters_are_left_out_and_tied_ones_are_in_once()
    {
        using var a = nn.Linear(4, 4);
        using var b = nn.Linear(4, 4);
        using var net = nn.Sequential(("a", a), ("b", b));
        b.weight = a.weight;
        a.bias!.requires_grad = false;
        var groups = stab.optim.param_groups_weight_decay(net);
        Assert.Equal(["a.weight"], groups.Decayed.Select(p => p.name));
        Assert.Equal(["b.bias"], groups.Undecayed.Select(p => p.name));
    }

    [Fact]
    public void Every_optimizer_takes_them()
    {
        using var net = Net();
        var groups = stab.optim.param_groups_weight_decay(net, 0.05);
        optim.Optimizer[] all =
        [
            stab.optim.Adam(groups, 0.1), stab.optim.AdamW(groups, 0.1), stab.optim.SGD(groups, 0.1), stab.optim.RMSprop(groups, 0.1),
            optim.Adadelta(groups), optim.Adagrad(groups), optim.Adam(groups), optim.Adamax(groups), optim.AdamW(groups), optim.ASGD(groups),
            optim.NAdam(groups), optim.RAdam(groups), optim.RMSProp(groups), optim.SGD(groups, 0.1),
        ];
        foreach (var optimizer in all)
        {
            var made = optimizer.ParamGroups.Cast<Theirs.ParamGroup>().ToList();
            Assert.Equal([groups.Undecayed.Count, groups.Decayed.Count], made.Select(g => g.Parameters.Count()));
            Assert.Equal([0, 0.05], made.Select(DecayOf));
            optimizer.Dispose();
        }
    }

    [Fact]
    public void The_rate_is_the_optimizers_and_reports_name_layers()
    {
        using var net = Net();
        using var optimizer = stab.optim.AdamW(stab.optim.param_groups_weight_decay(net, 0.05), lr: 0.3);
        Assert.All(optimizer.ParamGroups, g => Assert.Equal(0.3, g.LearningRate));
        foreach (var p in net.parameters()) p.grad = zeros_like(p);
        net.named_parameters().Single(p => p.name == "out.weight").parameter.grad!.fill_(double.NaN);
        optimizer.step();
        Assert.Equal("out.weight", optimizer.LastStep.FirstNonFinite);
    }

    [Fact]
    public void Decayed_parameters_shrink_and_the_others_stay()
    {
        using var net = Net();
        using var optimizer = stab.optim.SGD(stab.optim.param_groups_weight_decay(net, 0.5), lr: 0.1);
        var before = net.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().clone());
        foreach (var p in net.parameters()) p.grad = zeros_like(p);
        optimizer.step();
        foreach (var (name, p) in net.named_parameters())
            Compare.Close(before[name] * (name is "conv.weight" or "out.weight" or "embed.weight" ? 0.95 : 1), p.detach(), name);
    }

    [Fact]
    public void Nothing_to_decay_is_one_group()
    {
        using var norm = stab.nn.LayerNorm(4);
        var groups = stab.optim.param_groups_weight_decay(norm);
        using var optimizer = stab.optim.Adam(groups);
        Assert.Equal(["weight", "bias"], groups.Undecayed.Select(p => p.name));
        Assert.Single(optimizer.ParamGroups);
    }

    [Fact]
    public void It_says_what_went_where()
    {
        using var linear = nn.Linear(2, 3);
        Assert.Equal(["without weight decay: 1 parameter", "  bias [3]", "with weight decay 0.01: 1 parameter", "  weight [3, 2]", ""],
            stab.optim.param_groups_weight_decay(linear, 0.01).ToString().Split(Environment.NewLine));
    }

    [Fact]
    public void Wrong_arguments_are_named()
    {
        using var net = nn.Linear(2, 2);
        Assert.Throws<ArgumentNullException>("model", () => stab.optim.param_groups_weight_decay(null!));
        foreach (double decay in new[] { -1, double.NaN, double.PositiveInfinity })
            Assert.Throws<ArgumentOutOfRangeException>("weight_decay", () => stab.optim.param_groups_weight_decay(net, decay));
    }

    private static Theirs.Sequential Net() => nn.Sequential(
        ("embed", nn.Embedding(5, 3)), ("conv", nn.Conv2d(3, 4, 3, bias: false)), ("norm", nn.BatchNorm2d(4)), ("out", nn.Linear(4, 2)));

    private static double? DecayOf(Theirs.ParamGroup group) => (double?)group.Options.GetType().GetField("weight_decay")?.GetValue(group.Options)
        ?? (double?)group.Options.GetType().GetProperty("weight_decay")?.GetValue(group.Options);
}
