using System.Diagnostics;
using static TorchSharp.torch;

namespace TorchStab.Tests.Ranks;

/// <summary>A training with checkpoints that one rank's death ends, and the run after it.</summary>
internal static class Training
{
    private const int DeathStep = 5, LastStep = 6;

    public static void Dies(string file) => Run(file, dies: true);

    public static void Resumes(string file) => Run(file, dies: false);

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
