using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Diagnostics;

/// <summary>Verdicts name the true cause, once, and nothing that is in place already; what was not seen is not called healthy.</summary>
public class CauseTests
{
    private static readonly MonitorOptions EveryCall = new() { Every = 1 };

    [Fact]
    public void A_model_run_by_forward_was_not_seen()
    {
        using var net = new ByForward();
        using var monitor = new ActivationMonitor(net, EveryCall);
        var (nothing, kind) = (monitor.Judge(), VerdictKind.NotSeen);
        Assert.Equal((kind, "nothing was seen"), (nothing.Model.Kind, nothing.Model.Evidence));
        net.call(ones(2, 3)).Dispose();
        var diagnosis = monitor.Judge();
        Assert.Equal(kind, diagnosis.Model.Kind);
        Assert.Contains("by call(), not by forward()", diagnosis.Model.Remedy, StringComparison.Ordinal);
        Assert.Equal(["first", "second"], diagnosis.Layers.Where(l => l.Kind == kind).Select(l => l.Layer));
        Assert.Equal(["second"], Assert.Single(diagnosis.Findings).Also);
        net.ByCall = true;
        net.call(ones(2, 3)).Dispose();
        Assert.Equal((VerdictKind.Healthy, 0), (monitor.Judge().Model.Kind, monitor.Judge().Findings.Count));
    }

    [Fact]
    public void Some_layers_unseen_are_said_beside_a_graver_finding()
    {
        using var net = new ByForward();
        using var monitor = new ActivationMonitor(net, EveryCall);
        using (no_grad()) net.first.weight!.fill_(double.NaN);
        net.first.call(ones(2, 3)).Dispose();
        Assert.Equal([VerdictKind.NonFinite, VerdictKind.NotSeen], monitor.Judge().Findings.Select(f => f.Kind));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void A_parameter_that_is_not_in_the_optimizer_is_named(int steps)
    {
        using var net = DiagnosticNets.Deep(() => nn.Tanh(), 2);
        using var optimizer = stab.optim.Adam(net.named_parameters()
            .Where(p => !p.name.StartsWith("linear1", StringComparison.Ordinal) && p.name != "output.bias"), 1e-3);
        var diagnosis = Train(net, steps, m => m.Step(optimizer));
        Assert.Equal(VerdictKind.UpdateTooSmall, diagnosis.Model.Kind);
        Assert.Contains("(linear1): no optimizer that stepped has weight, bias; give it to the optimizer", diagnosis.ToString(), StringComparison.Ordinal);
        Assert.Equal(["linear1", "output"], diagnosis.Findings.Single().Also.Append(diagnosis.Model.Layer).Order());
        Assert.Equal(VerdictKind.Healthy, diagnosis.Layers[1].Kind);
        // Seen as an action, the parameters are not known, but the difference is.
        var unknown = Train(net, steps, m => m.Step(() => optimizer.step()));
        Assert.Equal((VerdictKind.UpdateTooSmall, "linear1"), (unknown.Model.Kind, unknown.Model.Layer));
        Assert.Contains("the optimizer that steps does not have it", unknown.Model.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_optimizers_of_one_model_are_no_finding()
    {
        using var net = DiagnosticNets.Deep(() => nn.Tanh(), 2);
        var all = net.parameters().ToList();
        using var first = optim.Adam(all[..2], 1e-3);
        using var second = optim.Adam(all[2..], 1e-3);
        using var monitor = new GradientMonitor(net, new() { Every = 2 });
        for (int i = 0; i < 6; i++)
        {
            DiagnosticNets.Backward(net, i);
            monitor.Step(first);
            monitor.Step(second);
        }
        Assert.True(monitor.Judge().Model.Kind == VerdictKind.Healthy, monitor.Judge().ToString());
        using var early = new GradientMonitor(net, EveryCall);
        early.Step(first);
        Assert.Equal(VerdictKind.UpdateTooSmall, early.Judge().Model.Kind);
        early.Step(second);
        Assert.True(early.Judge().Model.Kind == VerdictKind.Healthy, early.Judge().ToString());
    }

    [Fact]
    public void A_step_that_changes_nothing_is_no_small_update_and_several_are_one_finding()
    {
        using var net = DiagnosticNets.Deep(() => nn.Tanh(), 2);
        using var optimizer = stab.optim.SGD(net.parameters(), 0);
        var first = Train(net, 1, m => m.Step(optimizer));
        Assert.True(first.Model.Kind == VerdictKind.Healthy, first.ToString());
        var later = Train(net, 3, m => m.Step(optimizer));
        Assert.Contains("no step changes any layer; the learning rate is 0 or every step is skipped", later.ToString(), StringComparison.Ordinal);
        Assert.Equal(2, Assert.Single(later.Findings).Also.Count);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(6)]
    public void What_starts_at_zero_is_healthy_and_so_is_what_lies_before_it(int steps)
    {
        using var net = nn.Sequential(("table", nn.Embedding(50, 16)), ("hidden", nn.Linear(16, 16)), ("act", nn.Tanh()), ("head", nn.Linear(16, 3)));
        using (no_grad())
        {
            net.get_parameter("table.weight")!.fill_(0);
            net.get_parameter("head.weight")!.fill_(0);
        }
        using var optimizer = optim.Adam(net.parameters(), 1e-3);
        var diagnosis = Train(net, steps, m => m.Step(optimizer), () =>
        {
            using var scope = NewDisposeScope();
            net.zero_grad();
            nn.functional.cross_entropy(net.call(arange(50)), arange(50) % 3).backward();
        });
        Assert.True(diagnosis.Model.Kind == VerdictKind.Healthy, diagnosis.ToString());
    }

    [Fact]
    public void A_table_of_zeros_whose_steps_are_too_large_is_found_all_the_same()
    {
        using var table = nn.Embedding(50, 16);
        using (no_grad()) table.weight!.fill_(0);
        using var optimizer = optim.Adam(table.parameters(), 1);
        var diagnosis = Train(table, 2, m => m.Step(optimizer), () => table.call(arange(50)).sum().backward());
        Assert.Equal(VerdictKind.UpdateTooLarge, diagnosis.Model.Kind);
    }

    [Fact]
    public void Weights_that_are_zero_and_stay_so_are_the_one_cause_of_all_zero_gradients_before_them()
    {
        using var net = DiagnosticNets.Deep(() => nn.Tanh(), 3);
        using (no_grad()) net.get_parameter("output.weight")!.fill_(0);
        using var optimizer = optim.Adam(net.named_parameters().Where(p => p.name != "output.weight").Select(p => p.parameter), 1e-3);
        var finding = Assert.Single(Train(net, 3, m => m.Step(optimizer)).Findings);
        Assert.Equal((VerdictKind.UpdateTooSmall, "output"), (finding.Kind, finding.Layer));
        // Two of them in a row never learn.
        using (no_grad())
            foreach (string name in new[] { "linear3.weight", "linear3.bias" }) net.get_parameter(name)!.fill_(0);
        using var all = optim.SGD(net.parameters(), 1e-3);
        var diagnosis = Train(net, 3, m => m.Step(all));
        Assert.True(diagnosis.Findings.Count == 1, string.Join('\n', diagnosis.Layers));
        var blocked = diagnosis.Findings[0];
        Assert.Equal((VerdictKind.Vanishing, 2), (blocked.Kind, blocked.Also.Count));
        Assert.StartsWith("the weights of output are zero", blocked.Remedy, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1e-3)]
    [InlineData(1e-6)]
    public void A_head_whose_loss_weighs_little_makes_no_explosion_of_the_rest_and_vanishes_itself_for_nobody(double weight)
    {
        using var net = new TwoHeads(weight);
        using var optimizer = optim.Adam(net.parameters(), 1e-3);
        var diagnosis = Train(net, 20, m => m.Step(optimizer), () => DiagnosticNets.Backward(net, 0));
        Assert.True(diagnosis.Model.Kind == VerdictKind.Healthy, diagnosis.ToString());
    }

    [Fact]
    public void Remedies_that_are_in_place_are_not_proposed()
    {
        using var xavier = DiagnosticNets.Deep(() => nn.Sigmoid(), 10, init: l => stab.nn.init.xavier_normal_(l.weight!));
        string remedy = DiagnosticNets.Train(xavier, lr: 1e-5).Gradients.Model.Remedy;
        Assert.Equal("sigmoid: BatchNorm, or ReLU with he_*", remedy);
        using var exploding = DiagnosticNets.Deep(() => nn.ReLU(), 8, init: l => stab.nn.init.normal_(l.weight!, 0, 1));
        using var clipping = stab.optim.SGD(exploding.parameters(), 1e-9, global_clipnorm: 1);
        Assert.DoesNotContain("clip", Train(exploding, 2, m => m.Step(clipping)).Model.Remedy, StringComparison.Ordinal);
        using var large = DiagnosticNets.Deep(() => nn.Tanh(), 1);
        using var adam = stab.optim.Adam(large.parameters(), 3, clipvalue: 1);
        Assert.Equal("lower the learning rate or warm it up", Train(large, 3, m => m.Step(adam)).Layers[0].Remedy);
    }

    [Fact]
    public void One_cause_is_one_finding_however_many_layers_follow()
    {
        using var net = DiagnosticNets.Deep(() => nn.Sigmoid(), 10);
        var diagnosis = DiagnosticNets.Train(net).Gradients;
        var finding = Assert.Single(diagnosis.Findings);
        Assert.Equal("linear1", finding.Layer);
        Assert.Equal(diagnosis.Layers.Count(l => l.Kind == VerdictKind.Vanishing) - 1, finding.Also.Count);
        Assert.Equal(1, diagnosis.ToString().Count(c => c == '\n'));
    }

    private static Diagnosis Train(nn.Module<Tensor, Tensor> net, int steps, Action<GradientMonitor> step, Action? backward = null)
    {
        using var monitor = new GradientMonitor(net, EveryCall);
        for (int i = 0; i < steps; i++)
        {
            if (backward is null) DiagnosticNets.Backward(net, i);
            else backward();
            step(monitor);
        }
        return monitor.Judge();
    }

    private sealed class ByForward : nn.Module<Tensor, Tensor>
    {
        public readonly Linear first = nn.Linear(3, 4), second = nn.Linear(4, 2);

        public ByForward() : base(nameof(ByForward)) => RegisterComponents();

        public bool ByCall { get; set; }

        public override Tensor forward(Tensor input) => ByCall ? second.call(first.call(input)) : second.forward(first.forward(input));
    }

    private sealed class TwoHeads : nn.Module<Tensor, Tensor>
    {
        private readonly Sequential trunk = DiagnosticNets.Deep(() => nn.ReLU(), 3, norm: true);
        private readonly Linear main = nn.Linear(DiagnosticNets.Classes, DiagnosticNets.Classes),
            auxiliary = nn.Linear(DiagnosticNets.Classes, DiagnosticNets.Classes);
        private readonly double _weight;

        public TwoHeads(double weight) : base(nameof(TwoHeads))
        {
            _weight = weight;
            RegisterComponents();
        }

        // The loss is the same function of both: the second one's share in it is its weight.
        public override Tensor forward(Tensor input)
        {
            var features = trunk.call(input);
            return main.call(features) + (auxiliary.call(features) * _weight);
        }
    }
}
