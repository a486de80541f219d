using System.Collections;
using System.Diagnostics;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.PyBridge;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Checkpoints;

/// <summary>Files of PyTorch through TorchSharp.PyBridge, both ways: how docs/from-pytorch.md says it is done.</summary>
public sealed class PyTorchCheckpointTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("torchstab").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("adamw")]
    [InlineData("sgd")]
    public void A_model_and_its_optimizer_go_on_as_in_PyTorch(string name)
    {
        using var scope = NewDisposeScope();
        using var model = Load(name);
        Same($"{name}.model.pth", model, 0);
        using var optimizer = LoadOptimizer(name, model);
        Train(model, optimizer, 3);
        Same($"{name}.expected.pth", model, Tolerance.Continued);
    }

    [Fact]
    public void Safetensors_hold_the_same()
    {
        using var scope = NewDisposeScope();
        using var model = NewModel();
        model.load_safetensors(Of("adamw.model.safetensors"));
        Same("adamw.model.pth", model, 0);
        Assert.All(model.parameters(), p => Assert.True(p.requires_grad));
        model.save_safetensors(Path.Combine(_folder, "again"));
        using var other = NewModel();
        other.load_safetensors(Path.Combine(_folder, "again"));
        Same("adamw.model.pth", other, 0);
    }

    /// <summary>What save_py writes of an optimizer has all that PyTorch's own file has.</summary>
    [Theory]
    [InlineData("adamw")]
    [InlineData("sgd")]
    public void What_is_saved_has_PyTorchs_keys_and_values(string name)
    {
        using var scope = NewDisposeScope();
        using var model = Load(name);
        using var optimizer = LoadOptimizer(name, model);
        model.save_py(Path.Combine(_folder, "model"));
        ((OptimizerHelper)optimizer).save_py(Path.Combine(_folder, "optimizer"));
        using var again = NewModel();
        again.load_py(Path.Combine(_folder, "model"));
        Same($"{name}.model.pth", again, 0);

        var (theirs, ours) = (PyTorchUnpickler.UnpickleStateDict(Of($"{name}.optimizer.pth")),
            PyTorchUnpickler.UnpickleStateDict(Path.Combine(_folder, "optimizer")));
        var (theirGroup, ourGroup) = (First(theirs), First(ours));
        foreach (string option in new[] { "lr", "weight_decay", "maximize", name == "sgd" ? "momentum" : "eps" })
            Assert.Equal(theirGroup[option], ourGroup[option]);
        Assert.Equal((ArrayList)theirGroup["params"]!, (ArrayList)ourGroup["params"]!);
        var (theirState, ourState) = ((IDictionary)theirs["state"]!, (IDictionary)ours["state"]!);
        Assert.Equal(theirState.Count, ourState.Count);
        foreach (DictionaryEntry parameter in theirState)
            foreach (DictionaryEntry moment in (IDictionary)parameter.Value!)
                Compare.Close(((Tensor)moment.Value!).to(ScalarType.Float64),
                    ((Tensor)((IDictionary)ourState[parameter.Key]!)[moment.Key]!).to(ScalarType.Float64), $"{parameter.Key}.{moment.Key}", 0);
    }

    [PyTorchFact]
    public void PyTorch_goes_on_from_what_is_saved()
    {
        using var scope = NewDisposeScope();
        foreach (string name in new[] { "adamw", "sgd" })
        {
            using var model = Load(name);
            using var optimizer = LoadOptimizer(name, model);
            Train(model, optimizer, 3);
            model.save_py(Path.Combine(_folder, $"{name}.model.pth"));
            ((OptimizerHelper)optimizer).save_py(Path.Combine(_folder, $"{name}.optimizer.pth"));
        }
        var command = new ProcessStartInfo(PyTorchFactAttribute.Python!, [Of("make.py"), "check", _folder]);
        command.RedirectStandardOutput = command.RedirectStandardError = true;
        using var process = Process.Start(command)!;
        var error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, output + error.Result);
    }

    /// <summary>The limits that the docs name; a PyBridge that mends one fails here, and the docs can lose a line.</summary>
    [Fact]
    public void What_PyBridge_leaves_to_the_caller_is_still_so()
    {
        using var scope = NewDisposeScope();
        using var model = NewModel();
        model.load_py(Of("adamw.model.pth"));
        Assert.All(model.parameters(), p => Assert.False(p.requires_grad));
        using var optimizer = NewOptimizer("adamw", Load("adamw"));
        Assert.NotNull(Record.Exception(() => ((OptimizerHelper)optimizer).load_py(Of("adamw.optimizer.pth"))));
        using var wide = nn.Sequential(("norm", stab.nn.LayerNorm(8)));
        using var narrow = nn.Sequential(("norm", stab.nn.LayerNorm(4)));
        using (no_grad()) narrow.parameters().First().fill_(7);
        narrow.save_py(Path.Combine(_folder, "narrow"));
        wide.load_py(Path.Combine(_folder, "narrow"));
        Assert.Equal([7f, 7, 7, 7, 1, 1, 1, 1], wide.parameters().First().data<float>().ToArray());
    }

    private static string Of(string file) => Repository.File("TorchStab.Tests", "Checkpoints", file);

    private static Sequential NewModel() => (Sequential)nn.Sequential(
        ("conv", nn.Conv2d(3, 4, 3)), ("batch2d", stab.nn.BatchNorm2d(4)), ("relu", nn.ReLU()),
        ("instance", stab.nn.InstanceNorm2d(4, affine: true, track_running_stats: true)),
        ("group", stab.nn.GroupNorm(2, 4)), ("flatten", nn.Flatten()), ("layer", stab.nn.LayerNorm(64)), ("linear", nn.Linear(64, 8)),
        ("batch1d", stab.nn.BatchNorm1d(8)),
        ("rms", stab.nn.RMSNorm(8, eps: 1e-6)), ("output", nn.Linear(8, 2))).to(ScalarType.Float64);

    private static Sequential Load(string name)
    {
        var model = NewModel();
        model.load_py(Of($"{name}.model.pth"));
        foreach (var parameter in model.parameters()) parameter.requires_grad = true;
        return model;
    }

    private static ClippingAwareOptimizer NewOptimizer(string name, nn.Module model) => name == "sgd"
        ? stab.optim.SGD(model.named_parameters(), 1, 0.9, nesterov: true) : stab.optim.AdamW(model.named_parameters(), 1);

    /// <summary>By way of TorchSharp's optimizer; rate and decay come from the file.</summary>
    private static ClippingAwareOptimizer LoadOptimizer(string name, nn.Module model)
    {
        OptimizerHelper torchs = name == "sgd" ? optim.SGD(model.parameters(), 1, 0.9, nesterov: true) : optim.AdamW(model.parameters(), 1);
        torchs.load_py(Of($"{name}.optimizer.pth"));
        var optimizer = NewOptimizer(name, model);
        optimizer.load_state_dict(torchs.state_dict());
        return optimizer;
    }

    private static void Train(nn.Module<Tensor, Tensor> model, optim.Optimizer optimizer, int steps)
    {
        var data = PyTorchUnpickler.UnpickleStateDict(Of("data.pth"));
        for (int step = 0; step < steps; step++)
        {
            optimizer.zero_grad();
            nn.functional.cross_entropy(model.call((Tensor)data["x"]!), (Tensor)data["y"]!).backward();
            optimizer.step();
        }
    }

    private static void Same(string file, nn.Module model, double tolerance)
    {
        var expected = PyTorchUnpickler.UnpickleStateDict(Of(file));
        var actual = model.state_dict();
        Assert.Equal(expected.Keys.Cast<string>().Order(), actual.Keys.Order());
        foreach (string key in expected.Keys) Compare.Close((Tensor)expected[key]!, actual[key], $"{file}: {key}", tolerance);
    }

    private static IDictionary First(Hashtable state) => (IDictionary)((ArrayList)state["param_groups"]!)[0]!;
}

/// <summary>A test that needs Python with PyTorch; without it the runner reports it as not run.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class PyTorchFactAttribute : FactAttribute
{
    public static string? Python { get; } = Environment.GetEnvironmentVariable("TORCHSTAB_PYTHON");

    public override string? Skip
    {
        get => Python is null ? "not run: TORCHSTAB_PYTHON names no Python with PyTorch" : null;
    }
}
