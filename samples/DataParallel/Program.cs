using DataParallel;
using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;

const double Agreement = 1e-8; // of each tensor's largest value: float64 rounding, grown over the steps
const int Milestones = 5; // lines of a log for each training
const string OnRanks = "on all ranks", InOneProcess = "in one process";
var commandLine = new CommandLine();
return SampleProgram.Run(commandLine.Root, args, (parsed, stop) => Run(commandLine.Parse(parsed), stop));

static void Run(Settings s, CancellationToken stop)
{
    if (!stab.distributed.is_available())
        throw new SampleException("Open MPI is not installed: apt-get install openmpi-bin, then mpirun -n 2 dotnet run --no-build --project "
            + "samples/DataParallel");
    // A rank that left the others would make them wait; all get the signal, and the last whole checkpoint is there.
    using var _ = stop.Register(() => Environment.Exit(SampleProgram.Interrupted));
    stab.distributed.init_process_group();
    int ranks = stab.distributed.get_world_size();
    if (s.Batch % ranks != 0) throw new SampleException($"--batch {s.Batch} does not divide into {Report.Count(ranks, "rank")}.");
    using var data = Mnist.Train(Mnist.OwnFolder, CPU);
    if (stab.distributed.get_rank() != 0) Together(data, s, view: null).Network.Dispose();
    else
    {
        Report.Line(ranks == 1 ? "1 rank (mpirun -n 2 … starts more)"
            : $"{ranks} ranks of {Report.Count(get_num_threads(), "thread")}, {s.Batch / ranks} of {s.Batch} images each");
        var lines = new List<string>();
        ProgressView.Show([OnRanks, InOneProcess], ["step", "loss"], view => lines.AddRange(Compare(data, s, ranks, view)), "training");
        foreach (string line in lines) Report.Line(line);
    }
    stab.distributed.barrier();
    stab.distributed.destroy_process_group();
}

// What every rank does.
static Outcome Together(Mnist data, Settings s, ProgressView? view)
{
    var network = Training.NewNetwork(s);
    using var optimizer = Training.NewOptimizer(network, s);
    stab.nn.utils.convert_sync_batchnorm_(network);
    var model = stab.nn.DistributedDataParallel(network);
    int from = Checkpoint.Load(s.Checkpoint, network, optimizer); // all load …
    if (from >= s.Steps) throw new SampleException($"{s.Checkpoint} was saved after step {from}: --steps must be more.");
    var training = new Training(data, s, stab.utils.data.DistributedSampler(data.Count, seed: s.Seed), s.Batch / stab.distributed.get_world_size());
    Action<int>? save = view is not null && s.Checkpoint is { } file ? step => Checkpoint.Save(file, step, network, optimizer) : null; // … rank 0 saves
    double loss = training.Run(model, optimizer, from, Show(view, OnRanks, s), save);
    model.require_identical();
    return new(network, training.Milliseconds, loss, from);
}

// The same in one process with whole batches, and plain batch normalization: rank 0 alone.
static string[] Compare(Mnist data, Settings s, int ranks, ProgressView view)
{
    var together = Together(data, s, view);
    using var network = together.Network;
    using var alone = Training.NewNetwork(s);
    using var optimizer = Training.NewOptimizer(alone, s);
    var training = new Training(data, s, stab.utils.data.DistributedSampler(data.Count, 1, 0, seed: s.Seed), s.Batch);
    training.Run(alone, optimizer, 0, Show(view, InOneProcess, s));
    double worst = alone.parameters().Zip(network.parameters()).Max(p => Difference(p.First, p.Second));
    if (!(worst <= Agreement)) throw new SampleException($"the parameters differ from the single-process run's by {worst:0.0e+0} of the largest.");
    return
    [
        .. together.From > 0 ? [$"goes on after step {together.From} of {s.Checkpoint}"] : (string[])[],
        $"loss {together.Loss:0.0000} after {Report.Count(s.Steps, "step")}; all ranks have the same parameters, bit for bit",
        $"its parameters equal the single-process run's: largest difference {worst:0.0e+0} of the largest value",
        $"{together.Milliseconds:0.00} ms a step on {Report.Count(ranks, "rank")}, {training.Milliseconds:0.00} ms in one process: "
            + $"{training.Milliseconds / together.Milliseconds:0.00} times as fast",
    ];
}

static Action<int, double>? Show(ProgressView? view, string name, Settings s) => view is null ? null : (step, loss) =>
    view.Update(new ProgressRow(name, (double)step / s.Steps, [$"{step}/{s.Steps}", $"{loss:0.0000}"]), milestone: step == s.Steps
        || step % Math.Max(1, s.Steps / Milestones) == 0);

static double Difference(Tensor a, Tensor b)
{
    using var scope = NewDisposeScope();
    using var _ = no_grad();
    return ((a - b).abs().max() / a.abs().max().clamp(min: 1)).item<double>();
}

/// <summary>What training on all ranks came to: the network, the median of a step, the last loss, and the step it went on from.</summary>
internal sealed record Outcome(Perceptron Network, double Milliseconds, double Loss, int From);
