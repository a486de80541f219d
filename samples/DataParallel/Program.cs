using DataParallel;
using TorchStab;
using TorchStab.Samples;
using TrainMnist;
using static TorchSharp.torch;

const double Agreement = 1e-8; // of each tensor's largest value: float64 rounding, grown over the steps
var commandLine = new CommandLine();
return SampleProgram.Run(commandLine.Root, args, (parsed, _) => Run(commandLine.Parse(parsed)));

static void Run(Settings s)
{
    if (!stab.distributed.is_available())
        throw new SampleException("Open MPI is not installed: apt-get install openmpi-bin, then mpirun -n 2 dotnet run --no-build --project samples/DataParallel");
    stab.distributed.init_process_group();
    int ranks = stab.distributed.get_world_size();
    bool first = stab.distributed.get_rank() == 0;
    if (s.Batch % ranks != 0) throw new SampleException($"--batch {s.Batch} does not divide into {ranks} ranks.");
    using var data = Mnist.Train(Mnist.OwnFolder, CPU);
    if (first) Report.Line(ranks == 1 ? "1 rank (mpirun -n 2 … starts more)" : $"{ranks} ranks of {get_num_threads()} threads, {s.Batch / ranks} of {s.Batch} images each");

    using var network = Training.NewNetwork(s);
    var together = Together(network, data, s, first, ranks);
    if (first) Compare(network, together, data, s, ranks);
    stab.distributed.barrier();
    stab.distributed.destroy_process_group();
}

static Training Together(DeepNetwork network, Mnist data, Settings s, bool first, int ranks)
{
    using var optimizer = Training.NewOptimizer(network, s);
    stab.nn.utils.convert_sync_batchnorm_(network);
    var model = stab.nn.DistributedDataParallel(network);
    int from = Checkpoint.Load(s.Checkpoint, network, optimizer); // all load …
    if (first && from > 0) Report.Line($"goes on after step {from} of {s.Checkpoint}");
    var training = new Training(data, s, stab.utils.data.DistributedSampler(data.Count, seed: s.Seed), s.Batch / ranks);
    Action<int>? save = first && s.Checkpoint is { } file ? step => Checkpoint.Save(file, step, network, optimizer) : null; // … rank 0 saves
    double loss = training.Run(model, optimizer, from, save);
    model.require_identical();
    if (first) Report.Line($"loss {loss:0.0000} after {s.Steps} steps; all ranks have the same parameters, bit for bit");
    return training;
}

// The same in one process with whole batches, and plain batch normalization.
static void Compare(DeepNetwork network, Training together, Mnist data, Settings s, int ranks)
{
    using var alone = Training.NewNetwork(s);
    using var optimizer = Training.NewOptimizer(alone, s);
    var training = new Training(data, s, stab.utils.data.DistributedSampler(data.Count, 1, 0, seed: s.Seed), s.Batch);
    training.Run(alone, optimizer, 0);
    double worst = alone.parameters().Zip(network.parameters()).Max(p => Difference(p.First, p.Second));
    if (!(worst <= Agreement)) throw new SampleException($"the parameters differ from the single-process run's by {worst:0.0e+0} of the largest.");
    Report.Line($"its parameters equal the single-process run's: largest difference {worst:0.0e+0} of the largest value");
    Report.Line($"{together.Milliseconds:0.00} ms a step on {ranks} ranks, {training.Milliseconds:0.00} ms in one process: {training.Milliseconds / together.Milliseconds:0.00} times as fast");
}

static double Difference(Tensor a, Tensor b)
{
    using var scope = NewDisposeScope();
    using var _ = no_grad();
    return ((a - b).abs().max() / a.abs().max().clamp(min: 1)).item<double>();
}
