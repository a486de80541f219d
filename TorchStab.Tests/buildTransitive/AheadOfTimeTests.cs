using TorchStab.Tests.Support;
using Xunit.Abstractions;

namespace TorchStab.Tests.buildTransitive;

/// <summary>A program that is compiled ahead of time: what is promised to work there does, and what cannot says so.</summary>
[Collection(Builds.Name)]
public class AheadOfTimeTests(PackedLibrary package, ITestOutputHelper log)
{
    // Each line of the output is checked below. The norm's gradient is compared with torch's own, which has no reflection in it.
    private const string Program = """
        using System.Runtime.CompilerServices;
        using TorchSharp;
        using TorchStab;
        using static TorchSharp.torch;

        Console.WriteLine($"dynamic code {RuntimeFeature.IsDynamicCodeSupported}");
        random.manual_seed(1);
        using var x = randn(4, 8, 3, 3);
        using var upstream = randn(4, 8, 3, 3);
        Tensor Gradient(Func<Tensor, Tensor> norm)
        {
            var leaf = x.clone().requires_grad_(true);
            norm(leaf).backward([upstream]);
            return leaf.grad!;
        }
        void Compare(string name, Func<Tensor, Tensor> ours, Func<Tensor, Tensor> theirs) =>
            Console.WriteLine($"{name} {(Gradient(ours) - Gradient(theirs)).abs().max().item<float>() < 1e-4}");
        Compare("BatchNorm2d", stab.nn.BatchNorm2d(8).call, nn.BatchNorm2d(8).call);
        Compare("LayerNorm", stab.nn.LayerNorm([8, 3, 3]).call, nn.LayerNorm([8, 3, 3]).call);
        Compare("GroupNorm", stab.nn.GroupNorm(2, 8).call, t => nn.functional.group_norm(t, 2));
        Compare("InstanceNorm2d", stab.nn.InstanceNorm2d(8).call, nn.InstanceNorm2d(8).call);

        var model = nn.Sequential(("conv", nn.Conv2d(8, 8, 3)), ("bn", stab.nn.BatchNorm2d(8)), ("relu", nn.ReLU()));
        foreach (var p in model.parameters()) if (p.dim() > 1) stab.nn.init.kaiming_normal_(p);
        float Loss() => model.call(x).square().mean().item<float>();
        var optimizer = stab.optim.AdamW(model.parameters(), lr: 1e-2, global_clipnorm: 1);
        float before = Loss();
        for (int i = 0; i < 20; i++)
        {
            optimizer.zero_grad();
            model.call(x).square().mean().backward();
            optimizer.step();
        }
        Console.WriteLine($"AdamW {Loss() < before} {optimizer.LastStep.GradNorm > 0}");
        optimizer.save_state_dict("adamw.bin");
        optimizer.load_state_dict("adamw.bin");
        using var moved = x.clone().requires_grad_(true);
        using var y = stab.nn.functional.layer_norm(moved, [3]);
        using (no_grad()) moved.add_(1);
        try { y.backward([upstream]); }
        catch (System.Runtime.InteropServices.ExternalException e) { Console.WriteLine(e.Message[..100]); }

        using var conv = nn.Conv2d(8, 8, 3);
        using var bn = stab.nn.BatchNorm2d(8);
        conv.eval();
        bn.eval();
        using var fused = stab.nn.utils.fuse_conv_bn_eval(conv, bn);
        Console.WriteLine($"fused {(fused.call(x) - bn.call(conv.call(x))).abs().max().item<float>() < 1e-4}");
        try { stab.nn.utils.freeze_norms_(model); }
        catch (NotSupportedException e) { Console.WriteLine(e.Message); }
        """;

    [Fact]
    public void A_program_compiled_ahead_of_time_trains()
    {
        if (!OperatingSystem.IsLinux() || System.Runtime.InteropServices.RuntimeInformation.OSArchitecture != System.Runtime.InteropServices.Architecture.X64)
        {
            log.WriteLine("not run: a program for Linux on x64");
            return;
        }
        string folder = package.NewProject("aot", Program);
        PackedLibrary.AddMachineSources(folder); // the compiler is a package that building these tests does not restore
        // Debug compiles in less time, and a publish would not.
        string[] options = ["-r", "linux-x64", "-p:Configuration=Debug", "-p:PublishAot=true", "-p:UseAppHost=true", "-p:TreatWarningsAsErrors=false"];
        var (restored, why) = DotNet.Run(folder, ["restore", .. options]);
        if (restored != 0)
        {
            log.WriteLine($"not run: the package of the compiler cannot be had here\n{why}");
            return;
        }
        var (published, built) = DotNet.Run(folder, ["publish", "--no-restore", "-o", "out", .. options]);
        if (built.Contains("Platform linker", StringComparison.Ordinal))
        {
            log.WriteLine($"not run: no linker\n{built}");
            return;
        }
        Assert.True(published == 0, built);
        AssertWorks(DotNet.RunProgram(Path.Combine(folder, "out", "aot"), folder));
    }

    private static void AssertWorks((int ExitCode, string Output) run)
    {
        Assert.True(run.ExitCode == 0, run.Output);
        string[] expected =
        [
            "dynamic code False", "BatchNorm2d True", "LayerNorm True", "GroupNorm True", "InstanceNorm2d True", "AdamW True True", "fused True",
            "LayerNorm's input: one of the variables needed for gradient computation has been modified", "surgery on whole models finds modules by reflection",
        ];
        Assert.All(expected, line => Assert.Contains(line, run.Output, StringComparison.Ordinal));
    }
}
