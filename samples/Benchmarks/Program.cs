using System.CommandLine;
using BenchmarkDotNet.Running;
using TorchStab.Benchmarks;
using TorchStab.Benchmarks.Gpu;
using TorchStab.Samples;

const string Commands = "compare|published|averaging|gpu-check|gpu-time";
var what = new Argument<BenchmarkTask>("command")
{
    Description = "compare: ratios to libtorch, both sides interleaved in one process; published: BenchmarkDotNet's table; "
        + "averaging, under mpirun: the sum of gradients over ranks against a raw MPI_Allreduce; gpu-check: every norm and optimizer on --device against the "
        + "CPU; "
        + "gpu-time: norms and an optimizer step on --device, against TorchSharp's",
    HelpName = Commands,
    CustomParser = result =>
    {
        string typed = result.Tokens.Single().Value;
        if (Commands.Split('|').Contains(typed, StringComparer.OrdinalIgnoreCase))
            return Enum.Parse<BenchmarkTask>(typed.Replace("-", "", StringComparison.Ordinal), ignoreCase: true);
        result.AddError($"The command is one of {Commands.Replace("|", ", ")}, not '{typed}'.");
        return default;
    },
};
var only = new Option<string?>("--only") { Description = "Only operations whose name contains this", HelpName = "NAME" };
var quick = SampleOptions.Quick("A few cases, briefly: shows that it runs, measures little");
var tuned = new Option<bool>("--tuned") { Description = "After TorchStab.Memory.TuneAllocator(), for both sides" };
var native = new Option<bool>("--native") { Description = "TorchStab's norms in libtorch's fused operations, which devices other than the CPU run" };
var device = Devices.Option();
var root = new RootCommand("Measures TorchStab against TorchSharp's own modules and optimizers.") { what, only, quick, tuned, native, device };

return SampleProgram.Run(root, args, (parsed, token) =>
{
    bool brief = parsed.GetValue(quick);
    switch (parsed.GetValue(what))
    {
        case BenchmarkTask.Compare:
            CompareCommand.Run(parsed.GetValue(only), brief, parsed.GetValue(tuned), parsed.GetValue(native), token);
            break;
        case BenchmarkTask.Averaging:
            AveragingCommand.Run(brief);
            break;
        case BenchmarkTask.GpuCheck:
            GpuCheckCommand.Run(Devices.Open(parsed.GetValue(device).Value), brief, token);
            break;
        case BenchmarkTask.GpuTime:
            GpuTimeCommand.Run(Devices.Open(parsed.GetValue(device).Value), brief, token);
            break;
        default:
            BenchmarkSwitcher.FromAssembly(typeof(BenchmarkTask).Assembly).Run(["--filter", $"*{parsed.GetValue(only)}*"], PublishedConfig.Create(brief));
            break;
    }
});
