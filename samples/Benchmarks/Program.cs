using System.CommandLine;
using BenchmarkDotNet.Running;
using TorchStab.Benchmarks;
using TorchStab.Samples;

const string Commands = "compare|published|averaging";
var what = new Argument<BenchmarkTask>("command")
{
    Description = "compare: ratios to libtorch, both sides interleaved in one process; published: BenchmarkDotNet's table; "
        + "averaging, under mpirun: the sum of gradients over ranks against a raw MPI_Allreduce",
    HelpName = Commands,
    CustomParser = result =>
    {
        string typed = result.Tokens.Single().Value;
        if (Commands.Split('|').Contains(typed, StringComparer.OrdinalIgnoreCase)) return Enum.Parse<BenchmarkTask>(typed, ignoreCase: true);
        result.AddError($"The command is one of {Commands.Replace("|", ", ")}, not '{typed}'.");
        return default;
    },
};
var only = new Option<string?>("--only") { Description = "Only operations whose name contains this", HelpName = "NAME" };
var quick = SampleOptions.Quick("A few cases, briefly: shows that it runs, measures little");
var tuned = new Option<bool>("--tuned") { Description = "After TorchStab.Memory.TuneAllocator(), for both sides" };
var native = new Option<bool>("--native") { Description = "TorchStab's norms in libtorch's fused operations, which devices other than the CPU run" };
var root = new RootCommand("Measures TorchStab against TorchSharp's own modules and optimizers.") { what, only, quick, tuned, native };

return SampleProgram.Run(root, args, (parsed, token) =>
{
    if (parsed.GetValue(what) == BenchmarkTask.Compare) CompareCommand.Run(parsed.GetValue(only), parsed.GetValue(quick), parsed.GetValue(tuned), parsed.GetValue(native), token);
    else if (parsed.GetValue(what) == BenchmarkTask.Averaging) AveragingCommand.Run(parsed.GetValue(quick));
    else BenchmarkSwitcher.FromAssembly(typeof(BenchmarkTask).Assembly).Run(["--filter", $"*{parsed.GetValue(only)}*"], PublishedConfig.Create(parsed.GetValue(quick)));
});
