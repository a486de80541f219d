using System.Diagnostics;
using static TorchSharp.torch;

namespace TorchStab.Tests.Ranks;

/// <summary>A training with checkpoints that one rank's death ends, and the run after it.</summary>
internal static class Training
{
    private const int DeathStep = 5, LastStep = 6;

    public static void Dies(string file) => Run(file, dies: true);

    public static void Resumes(string file) => Run(file, dies: false);

    /// <summary>Gradients of more than a piece of memory or a message, step after step.</summary>
    public static void Sums()
    {
        stab.distributed.init_process_group();
        int rank = stab.distributed.get_rank(), size = stab.distributed.get_world_size();
        var model = nn.Sequential(("large", nn.Linear(700, 900)), ("double", nn.Linear(3, 4, dtype: ScalarType.Float64)),
            ("half", nn.Linear(5, 2, dtype: ScalarType.BFloat16)));
        using var ddp = stab.nn.DistributedDataParallel(model);
        for (int step = 1; step <= 5; step++)
        {
            using var scope = NewDisposeScope();
            ddp.weigh(zeros(1), 1);
            foreach (var p in model.parameters()) p.grad = arange(p.numel()).remainder(8).add(rank + step).to(p.dtype).view_as(p);
            ddp.average_gradients();
            foreach (var (name, p) in model.named_parameters())
                if (!p.grad!.eq((arange(p.numel()).remainder(8).add(step) * size + (size * (size - 1) / 2)).to(p.dtype).view_as(p)).all().item<bool>())
                    throw new InvalidOperationException($"the sum of {name} is wrong in step {step} on rank {rank}");
        }
        if (rank == 0) Console.WriteLine(Distributed.ProcessGroups.Required.SharedSum is null ? "in messages" : "through shared memory");
    }

    private static void Run(string file, bool dies)
    {
        stab.distributed.init_process_group();
        int rank = stab.distributed.get_rank(), size = stab.distributed.get_world_size();
        var model = nn.Sequential(("linear", nn.Linear(3, 4)), ("norm", nn.BatchNorm1d(4)));
        int from = File.Exists(file + ".step") ? int.Parse(File.ReadAllText(file + ".step")) : 0;
        if (from > 0) model.load(file);
        stab.nn.utils.convert_sync_batchnorm_(model);
        var ddp = stab.nn.DistributedDataParallel(model);
        using var optimizer = stab.optim.SGD(ddp.named_parameters(), 0.1);
        for (int step = from + 1; step <= LastStep; step++)
        {
            optimizer.zero_grad();
            var loss = ddp.call(randn(rank + 1, 3)).square().mean();
            if (dies && step == DeathStep && rank == size - 1) Process.GetCurrentProcess().Kill();
            loss.backward();
            optimizer.step();
            if (rank == 0) Save(file, model, step);
        }
        ddp.require_identical();
        if (rank == 0) Console.WriteLine($"from step {from} to {LastStep}, the same on all ranks");
    }

    private static void Save(string file, nn.Module model, int step)
    {
        model.save(file + ".new");
        File.Move(file + ".new", file, overwrite: true);
        File.WriteAllText(file + ".step", $"{step}");
    }
}
