using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using Adam = TorchStab.Modules.Adam;

namespace SwapModules;

/// <summary>What is done to the model, in the order in which a program would do it; the reports are printed at the end.</summary>
internal sealed class Operation(nn.Module<Tensor, Tensor> model, Patterns data, Settings s, CancellationToken stop) : IDisposable
{
    private const string Plain = "training, torch.nn norms, torch Adam", Swapped = "training, stab.nn norms, torch Adam",
    Clipping = "training, stab.nn norms, stab Adam",
        Layers = "inference, norms as layers", Folded = "inference, norms folded";

    private readonly List<(string Title, SurgeryReport Report)> _reports = [];
    private IReadOnlyList<Phase> _phases = [];
    private Adam? _optimizer;
    private double _moved = double.NaN;

    public static string[] Names { get; } = [Plain, Swapped, Clipping, Layers, Folded];

    public void Run(ProgressView view)
    {
        var phases = new Phases(model, data, view, stop);
        _phases = phases.Done;
        _optimizer = SwapWhileTraining(phases);
        if (stop.IsCancellationRequested) return;
        // Batch by batch the running statistics lag behind the weights; here they become exactly those of the data.
        stab.nn.utils.update_bn(model, data.All().TakeWhile(_ => !stop.IsCancellationRequested));
        phases.Evaluate(Layers);
        if (stop.IsCancellationRequested) return;
        Fold(data[0].images);
        phases.Evaluate(Folded);
    }

    public void Print()
    {
        foreach (var (title, report) in _reports)
        {
            Report.Texts(title, ["path", "from", "to"], report.Changes.Select(c => (IReadOnlyList<string>)[c.Path, c.From, c.To]));
            foreach (var refusal in report.Refusals) Report.Line($"{refusal.Path} stays {refusal.Module}: {refusal.Reason}");
        }
        Report.Table("ResNet-18", ["phase", "median ms", "result"], _phases.Select(p => (IReadOnlyList<string>)[p.Name, $"{p.Milliseconds:0.00}", p.Result]));
        if (!double.IsNaN(_moved)) Report.Line($"folding moved the outputs by at most {_moved:0.0e+0} of the largest");
    }

    public void Dispose() => _optimizer?.Dispose();

    // What stands in a program before, the swap in the middle of it, and the optimizer that clips by itself.
    private Adam SwapWhileTraining(Phases phases)
    {
        using var adam = optim.Adam(model.parameters(), s.LearningRate);
        void ClipAndStep()
        {
            nn.utils.clip_grad_norm_(model.parameters(), s.Clip);
            adam.step();
        }

        phases.Train(Plain, s.Steps, adam.zero_grad, ClipAndStep);
        _reports.Add(("swap_norms_, BatchNorm and ReLU in one where a Sequential shows it",
            stab.nn.utils.swap_norms_(model, new SwapOptions { FuseReLU = true })));
        phases.Train(Swapped, s.Steps, adam.zero_grad, ClipAndStep);
        var clipping = stab.optim.Adam(model.named_parameters(), s.LearningRate, global_clipnorm: s.Clip);
        phases.Train(Clipping, s.Steps, clipping.zero_grad, () => clipping.step());
        return clipping;
    }

    // Inference without norms: in the convolutions before them. The optimizer takes over what is new.
    private void Fold(Tensor example)
    {
        using var scope = NewDisposeScope();
        model.eval();
        var before = Output(example);
        stab.nn.utils.fuse_norms(model, out var report, example);
        _optimizer!.rebind(model);
        _reports.Add(("fuse_norms", report));
        _moved = ((before - Output(example)).abs().max() / before.abs().max()).item<float>();
    }

    private Tensor Output(Tensor input)
    {
        using var _ = no_grad();
        return model.call(input);
    }
}
