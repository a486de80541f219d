using System.Diagnostics;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Diagnostics;

/// <summary>Whoever is given a model says which of its modules nothing trains, because they are held without being registered.</summary>
public class UnregisteredTests
{
    private static readonly MonitorOptions EveryCall = new() { Every = 1 };

    [Fact]
    public void Monitors_say_it_in_one_finding_whether_they_saw_something_or_not()
    {
        using var scope = NewDisposeScope();
        using var net = new Forgetful();
        using var gradients = new GradientMonitor(net, EveryCall);
        using var activations = new ActivationMonitor(net, EveryCall);
        Told(gradients.Judge());
        Told(activations.Judge());
        using var optimizer = stab.optim.Adam(net.named_parameters());
        for (int i = 0; i < 3; i++)
        {
            net.zero_grad();
            net.call(randn(16, 4)).mul(randn(16, 2)).sum().backward();
            gradients.Step(optimizer);
        }
        Assert.Equal(VerdictKind.NotRegistered, Told(gradients.Judge()).Model.Kind);
        Assert.Equal(VerdictKind.NotRegistered, Told(activations.Judge()).Model.Kind);
    }

    [Fact]
    public void What_is_registered_or_frozen_is_not_told()
    {
        using var scope = NewDisposeScope();
        using var net = new Forgetful();
        net.Freeze();
        using var gradients = new GradientMonitor(net, EveryCall);
        Assert.DoesNotContain(gradients.Judge().Findings, f => f.Kind == VerdictKind.NotRegistered);
        using var other = nn.Sequential(("a", nn.Linear(4, 4)), ("b", nn.Linear(4, 2)));
        using var activations = new ActivationMonitor(other, EveryCall);
        Assert.DoesNotContain(activations.Judge().Findings, f => f.Kind == VerdictKind.NotRegistered);
    }

    [Fact]
    public void Optimizers_that_are_given_the_model_and_lsuv_say_it_too()
    {
        using var scope = NewDisposeScope();
        using var net = new Forgetful();
        using var own = stab.optim.Adam(net.named_parameters());
        using var around = stab.optim.ClippedOptimizer(optim.Adam(net.parameters()), GradientClip.ByNorm(1));
        foreach (Action rebind in new Action[] { () => own.rebind(net), () => around.rebind(net),
            () => Distributed.Shards.OnRanks([1, 1], _ => stab.nn.DistributedDataParallel(new Forgetful()).Dispose()) })
        {
            using var said = new StringWriter();
            using var listener = new TextWriterTraceListener(said);
            Trace.Listeners.Add(listener);
            try
            {
                rebind();
            }
            finally
            {
                Trace.Listeners.Remove(listener);
            }
            Assert.Contains("blocks[0] (Linear) is not registered", said.ToString(), StringComparison.Ordinal);
            Assert.Contains("pair.Item1 (Linear) is not registered", said.ToString(), StringComparison.Ordinal);
        }
        var report = stab.nn.init.lsuv_(net, randn(64, 4));
        Assert.Equal(2, report.Notes.Count);
        Assert.Contains("note: blocks[0] (Linear) is not registered", report.ToString(), StringComparison.Ordinal);
    }

    private static Diagnosis Told(Diagnosis diagnosis)
    {
        var finding = diagnosis.Findings.Single(f => f.Kind == VerdictKind.NotRegistered);
        Assert.Equal("blocks[0]", finding.Layer);
        Assert.Equal(["pair.Item1"], finding.Also);
        Assert.Contains("hold it in a ModuleList, or call register_module", diagnosis.ToString(), StringComparison.Ordinal);
        return diagnosis;
    }

    private sealed class Forgetful : nn.Module<Tensor, Tensor>
    {
        private readonly List<Linear> blocks = [nn.Linear(4, 4)];
        private readonly (Linear, int) pair = (nn.Linear(4, 4), 1);
        private readonly Linear head = nn.Linear(4, 2);

        public Forgetful() : base(nameof(Forgetful)) => RegisterComponents();

        public void Freeze()
        {
            foreach (var p in blocks.Append(pair.Item1).SelectMany(l => l.parameters())) p.requires_grad = false;
        }

        public override Tensor forward(Tensor input) => head.call(pair.Item1.call(blocks[0].call(input)));
    }
}
