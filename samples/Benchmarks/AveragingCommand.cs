using System.Diagnostics;
using System.Globalization;
using Spectre.Console;
using TorchStab.Benchmarks.Comparisons;
using TorchStab.Dispatch;
using TorchStab.Modules;
using TorchStab.Samples;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks;

/// <summary>
/// What DistributedDataParallel's sum of the gradients costs against one raw MPI_Allreduce of as many bytes, which both sides of every rank do in
/// turn: mpirun -n 2 dotnet run -c Release --no-build --project samples/Benchmarks -- averaging; with -x TORCHSTAB_SHAREDMEMORY=off by messages, as between
/// hosts.
/// </summary>
internal static class AveragingCommand
{
    private const double AtMost = 1.3;
    private const int Repetitions = 3;

    public static void Run(bool quick)
    {
        if (!stab.distributed.is_available()) throw new SampleException("Open MPI is not installed: apt-get install openmpi-bin");
        stab.distributed.init_process_group();
        if (stab.distributed.get_world_size() == 1)
            throw new SampleException("averaging needs several ranks: mpirun -n 2 dotnet run --project samples/Benchmarks -- averaging");
        var table = new Table().Border(TableBorder.Markdown);
        foreach (string column in new[] { "gradients", "MiB", "gradients are", "MPI_Allreduce", "averaging", "ratio", "target" })
            table.AddColumn(new TableColumn(column).NoWrap());
        List<(string Name, List<long[]> Shapes)> models = [("1 M elements in one", [[1 << 20]]), ("200 × 64×64", ParameterLists.Same(200, 64, 64))];
        if (!quick) models.AddRange([("ResNet-18", ParameterLists.ResNet18()), ("small GPT", ParameterLists.Gpt())]);
        foreach (var (name, shapes) in models)
            foreach (bool views in Modes()) table.AddRow(Row(name, shapes, views, quick));
        if (!Report.IsLive) AnsiConsole.Profile.Width = 240; // as for compare
        if (stab.distributed.get_rank() == 0) AnsiConsole.Write(table);
        stab.distributed.destroy_process_group();
    }

    // Through shared memory both are one.
    private static bool[] Modes() => IsShared ? [false] : [false, true];

    private static bool IsShared => TorchStab.Distributed.ProcessGroups.Required.SharedSum is not null;

    private static string[] Row(string name, List<long[]> shapes, bool views, bool quick)
    {
        var runs = Enumerable.Range(0, quick ? 1 : Repetitions).Select(_ => Measure(shapes, views, quick)).OrderBy(run => run.Averaging / run.Raw).ToList();
        var (raw, averaging) = runs[runs.Count / 2];
        double size = shapes.Sum(shape => shape.Aggregate(1L, (product, n) => product * n)) * sizeof(float) / 1048576.0;
        return [name, Text($"{size:0.0}"), IsShared ? "summed in place" : views ? "views" : "copied", Text($"{raw:0.000} ms"), Text($"{averaging:0.000} ms"),
            Text($"{averaging / raw:0.00}"), Text($"≤ {AtMost}")];
    }

    // Medians of a run in memory of its own: where the operating system puts it matters more than a turn does.
    private static (double Raw, double Averaging) Measure(List<long[]> shapes, bool views, bool quick)
    {
        var parameters = ParameterLists.WithGradients(shapes, 1);
        using var model = new Holder(parameters);
        using var ddp = stab.nn.DistributedDataParallel(model, gradient_as_bucket_view: views);
        using var raw = randn(ParameterLists.Elements(parameters));
        var (raws, averagings) = (new List<double>(), new List<double>());
        int turns = quick ? 5 : Turns(raw);
        for (int i = -turns; i < turns; i++)
        {
            double rawTime = Milliseconds(() => MpiMessages.AllReduce(raw, ReduceOp.Sum));
            Begin(ddp);
            double averagingTime = Milliseconds(ddp.average_gradients);
            if (i >= 0) // until then code is compiled, for good only after a while
            {
                raws.Add(rawTime);
                averagings.Add(averagingTime);
            }
            raw.fill_(1);
            foreach (var p in parameters) using (var grad = p.grad) grad!.fill_(1); // sums of sums grow without end
        }
        return (Median(raws), Median(averagings));
    }

    // As many as move 1 GB, within reason: small messages vary more.
    private static int Turns(Tensor raw) => (int)Math.Clamp(1_000_000_000 / (raw.numel() * sizeof(float)), 10, 300);

    // A pass whose forward and backward cost nothing.
    private static void Begin(DistributedDataParallel ddp)
    {
        using var one = ones(1);
        ddp.weigh(one, 1).Dispose();
    }

    private static double Milliseconds(Action call)
    {
        stab.distributed.barrier();
        long start = Stopwatch.GetTimestamp();
        call();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    /// <summary>A model that is nothing but parameters.</summary>
    private sealed class Holder : nn.Module
    {
        public Holder(List<TorchSharp.Modules.Parameter> parameters) : base(nameof(Holder))
        {
            for (int i = 0; i < parameters.Count; i++) register_parameter($"p{i}", parameters[i]);
        }
    }
}
