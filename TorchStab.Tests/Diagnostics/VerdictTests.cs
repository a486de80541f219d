using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Diagnostics;

/// <summary>A network built to have each disease, and none found where there is none.</summary>
public class VerdictTests
{
    [Fact]
    public void Sigmoids_as_they_come_vanish_and_the_remedy_names_what_helps()
    {
        using var net = DiagnosticNets.Deep(() => nn.Sigmoid(), 10);
        var (gradients, _) = DiagnosticNets.Train(net);
        Assert.Equal(VerdictKind.Vanishing, gradients.Model.Kind);
        Assert.Equal("linear1", gradients.Model.Layer);
        Assert.Matches(@"^Vanishing: layer 1 of 11 \(linear1\): gradient [\d.]+e-\d+ of the last layer's; "
            + @"sigmoid after default initialization: use xavier_\* and BatchNorm, or ReLU with he_\*$", gradients.Model.ToString());
        Assert.Contains("linear2", gradients.ToString(), StringComparison.Ordinal);
        Assert.Equal(VerdictKind.Healthy, gradients.Layers[^1].Kind);
    }

    [Fact]
    public void A_remedy_does_not_blame_the_default_where_it_was_not_taken()
    {
        using var net = DiagnosticNets.Deep(() => nn.Tanh(), 10, init: l => stab.nn.init.normal_(l.weight!, 0, 0.01));
        var verdict = DiagnosticNets.Train(net, lr: 1e-5).Gradients.Model;
        Assert.Equal(VerdictKind.Vanishing, verdict.Kind);
        Assert.Equal("tanh: use xavier_* and BatchNorm, or ReLU with he_*", verdict.Remedy);
    }

    [Fact]
    public void Weights_too_large_explode()
    {
        using var net = DiagnosticNets.Deep(() => nn.ReLU(), 8, init: l => stab.nn.init.normal_(l.weight!, 0, 1));
        var verdict = DiagnosticNets.Train(net).Gradients.Model;
        Assert.Equal(VerdictKind.Exploding, verdict.Kind);
        Assert.Contains("global_clipnorm", verdict.Remedy, StringComparison.Ordinal);
        Assert.Contains("he_*", verdict.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void Rectifiers_that_are_zero_for_the_whole_batch_are_dead()
    {
        using var net = DiagnosticNets.Deep(() => nn.ReLU(), 3);
        using (no_grad()) net.get_parameter("linear2.bias")!.fill_(-100);
        var (gradients, activations) = DiagnosticNets.Train(net);
        Assert.Equal((VerdictKind.Dead, "activation2"), (activations.Model.Kind, activations.Model.Layer));
        Assert.Contains("100 %", activations.Model.Evidence, StringComparison.Ordinal);
        Assert.Equal(VerdictKind.Vanishing, gradients.Layers[0].Kind);
        Assert.Contains("exactly zero", gradients.Layers[0].Evidence, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void S_shaped_functions_at_their_ends_are_saturated(bool sigmoid)
    {
        using var net = DiagnosticNets.Deep(() => sigmoid ? nn.Sigmoid() : nn.Tanh(), 3, init: l => stab.nn.init.normal_(l.weight!, 0, 5));
        Assert.Equal(VerdictKind.Saturated, DiagnosticNets.Train(net).Activations.Model.Kind);
    }

    [Fact]
    public void A_saturated_output_is_an_answer_and_no_disease()
    {
        using var net = nn.Sequential(("linear", nn.Linear(DiagnosticNets.Inputs, DiagnosticNets.Classes)), ("out", nn.Sigmoid()));
        using (no_grad()) net.get_parameter("linear.weight")!.mul_(1000);
        Assert.Equal(VerdictKind.Healthy, DiagnosticNets.Train(net).Activations.Model.Kind);
    }

    [Fact]
    public void The_first_layer_with_a_non_finite_output_is_the_culprit()
    {
        using var net = DiagnosticNets.Deep(() => nn.ReLU(), 4);
        using (no_grad()) net.get_parameter("linear2.weight")!.fill_(1e38f);
        var (gradients, activations) = DiagnosticNets.Train(net, steps: 2);
        Assert.Equal((VerdictKind.NonFinite, "linear2"), (activations.Model.Kind, activations.Model.Layer));
        Assert.Contains("call 1", activations.Model.Evidence, StringComparison.Ordinal);
        Assert.All(activations.Layers.Skip(3).Where(v => v.Kind == VerdictKind.NonFinite),
            v => Assert.Contains("follows from linear2", v.Remedy, StringComparison.Ordinal));
        Assert.Equal(VerdictKind.NonFinite, gradients.Model.Kind);
    }

    [Fact]
    public void Of_non_finite_gradients_the_last_layer_has_the_culprit_and_of_weights_the_first()
    {
        using var net = DiagnosticNets.Deep(() => nn.Tanh(), 4);
        using var monitor = new GradientMonitor(net, new() { Every = 1 });
        DiagnosticNets.Backward(net, 0);
        using (var scope = NewDisposeScope())
        {
            net.get_parameter("linear1.weight")!.grad!.fill_(double.NaN);
            net.get_parameter("linear3.bias")!.grad![0] = double.PositiveInfinity;
        }
        monitor.Observe();
        Assert.Equal("linear3", monitor.Judge().Model.Layer);
        Assert.Contains("its backward pass made it", monitor.Judge().Model.Remedy, StringComparison.Ordinal);
        using (no_grad()) net.get_parameter("linear2.weight")!.fill_(double.NaN);
        monitor.Observe();
        Assert.Equal("linear3", monitor.Judge().Model.Layer); // the first report that showed one
        using var fresh = new GradientMonitor(net);
        fresh.Observe();
        Assert.Equal("linear2", fresh.Judge().Model.Layer);
        Assert.Contains("checkpoint", fresh.Judge().Model.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void A_loss_of_NaN_is_traced_to_the_loss()
    {
        using var net = DiagnosticNets.Deep(() => nn.Tanh(), 2);
        var verdict = DiagnosticNets.Train(net, steps: 1, distort: loss => loss * double.NaN).Gradients.Model;
        Assert.Equal((VerdictKind.NonFinite, "output"), (verdict.Kind, verdict.Layer));
        Assert.Contains("the loss", verdict.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void A_layer_that_the_loss_does_not_depend_on_is_not_connected()
    {
        using var net = new Unused();
        var verdict = DiagnosticNets.Train(net).Gradients.Model;
        Assert.Equal((VerdictKind.NotConnected, "idle"), (verdict.Kind, verdict.Layer));
        Assert.Contains("weight, bias", verdict.Evidence, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(3.0, VerdictKind.UpdateTooLarge)]
    [InlineData(1e-10, VerdictKind.UpdateTooSmall)]
    [InlineData(1e-3, VerdictKind.Healthy)]
    public void Steps_are_held_against_the_weights(double lr, VerdictKind expected)
    {
        using var net = DiagnosticNets.Deep(() => nn.Tanh(), 1);
        Assert.Equal(expected, DiagnosticNets.Train(net, steps: 3, lr: lr).Gradients.Layers[0].Kind);
    }

    [Fact]
    public void Thresholds_can_be_set()
    {
        using var net = DiagnosticNets.Deep(() => nn.Tanh(), 1);
        using var monitor = new GradientMonitor(net, new() { Thresholds = new() { LargestUpdate = 1e-6 } });
        using var optimizer = optim.SGD(net.parameters(), 0.01);
        DiagnosticNets.Backward(net, 0);
        monitor.Step(optimizer);
        Assert.Equal(VerdictKind.UpdateTooLarge, monitor.Judge().Model.Kind);
    }

    [Fact]
    public void Healthy_networks_raise_no_alarm()
    {
        using var deep = DiagnosticNets.Healthy();
        using var tanh = DiagnosticNets.Deep(() => nn.Tanh(), 3, init: l => stab.nn.init.xavier_normal_(l.weight!));
        using var asItComes = DiagnosticNets.Deep(() => nn.ReLU(), 2);
        foreach (var net in new[] { deep, tanh, asItComes })
        {
            foreach (int steps in new[] { 1, 60 })
            {
                var (gradients, activations) = DiagnosticNets.Train(net, steps);
                Assert.True(gradients.Model.Kind == VerdictKind.Healthy, gradients.ToString());
                Assert.True(activations.Model.Kind == VerdictKind.Healthy, activations.ToString());
            }
        }
    }

    private sealed class Unused : nn.Module<Tensor, Tensor>
    {
        private readonly Linear used = nn.Linear(DiagnosticNets.Inputs, DiagnosticNets.Classes), idle = nn.Linear(2, 2);

        public Unused() : base(nameof(Unused)) => RegisterComponents();

        public override Tensor forward(Tensor input) => used.call(input);
    }
}
