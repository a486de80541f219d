using TorchSharp;
using TorchStab.Tests.Support;
using TorchStab.Tests.Surgery.Models;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>What a user does to a model, on TorchVision's models as they come: swap, initialize, step, watch, save, fold, restore.</summary>
public class TorchVisionTests
{
    private static readonly Dictionary<string, (Func<nn.Module<Tensor, Tensor>> Make, long Size, int Norms)> Models = new()
    {
        ["ResNet-18"] = (() => torchvision.models.resnet18(num_classes: 10), 32, 20),
        ["MobileNetV2"] = (() => torchvision.models.mobilenet_v2(num_classes: 10, width_mult: 0.5), 32, 52),
        ["VGG-11"] = (() => torchvision.models.vgg11_bn(num_classes: 10), 32, 8),
        ["GoogLeNet"] = (() => torchvision.models.googlenet(num_classes: 10), 32, 57),
        ["Inception v3"] = (() => torchvision.models.inception_v3(num_classes: 10), 75, 96),
    };

    /// <summary>VGG's 130 M parameters are a gigabyte in float64: it is tried in float32 only.</summary>
    public static IEnumerable<object[]> Cases => Models.Keys.SelectMany(name => new[] { ScalarType.Float32, ScalarType.Float64 }
        .Where(dtype => name != "VGG-11" || dtype == ScalarType.Float32).Select(dtype => new object[] { name, dtype }));

    [Theory]
    [MemberData(nameof(Cases))]
    public void Everything_works_on_it(string name, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var (make, size, norms) = Models[name];
        using var model = make();
        model.to(dtype);
        var (x, y) = (randn(4, 3, size, size, dtype: dtype), tensor(new long[] { 1, 2, 3, 4 }));
        Swaps(model, x, norms, name);
        Initializes(model, x, name);
        using var optimizer = stab.optim.SGD(model.named_parameters(), 1e-3, global_clipnorm: 1e-2);
        Steps(model, optimizer, x, y);
        if (name != "VGG-11") Saves(model, x, dtype); // nor is its half gigabyte written
        Folds(model, optimizer, x, y, norms, dtype);
    }

    /// <summary>The same norms' numbers in eval mode, and back to the very modules.</summary>
    private static void Swaps(nn.Module<Tensor, Tensor> model, Tensor x, int norms, string name)
    {
        var modules = model.named_modules().ToList();
        var keys = model.state_dict().Keys.ToArray();
        var expected = Output(model, x);
        var report = stab.nn.utils.swap_norms_(model);
        Assert.True(report.Changes.Count == norms && report.Refusals.Count == 0, report.ToString());
        Assert.Equal(keys, model.state_dict().Keys);
        RealModels.Relative(expected, Output(model, x), Tolerance.Of(x.dtype), $"{name} swapped");
        stab.nn.utils.restore_norms_(model);
        Assert.Equal(modules, model.named_modules());
        Compare.Identical(expected, Output(model, x), $"{name} restored");
        stab.nn.utils.swap_norms_(model);
    }

    private static void Initializes(nn.Module<Tensor, Tensor> model, Tensor x, string name)
    {
        var report = stab.nn.init.initialize_(model, new() { Example = x });
        Assert.Empty(report.Untouched);
        var convolutions = report.Entries.Where(e => e.Parameter.EndsWith("weight", StringComparison.Ordinal) && e.Fan is not null).ToList();
        if (name == "ResNet-18")
            Assert.All(convolutions, e => Assert.StartsWith(e.Parameter == "fc.weight" ? "Xavier" : "He normal (before ReLU", e.Scheme,
                StringComparison.Ordinal));
        else
            Assert.Contains(convolutions, e => e.Scheme.StartsWith("He normal", StringComparison.Ordinal));
    }

    private static void Steps(nn.Module<Tensor, Tensor> model, TorchStab.Modules.ClippingAwareOptimizer optimizer, Tensor x, Tensor y)
    {
        model.train();
        using var gradients = new GradientMonitor(model, new() { Every = 1 });
        using var activations = new ActivationMonitor(model, new() { Every = 1 });
        optimizer.zero_grad();
        nn.functional.cross_entropy(model.call(x), y).backward();
        gradients.Step(optimizer);
        Assert.True(optimizer.LastStep is { Clipped: true, Skipped: false }, $"{optimizer.LastStep}");
        foreach (var diagnosis in new[] { gradients.Judge(), activations.Judge() })
            Assert.DoesNotContain(diagnosis.Layers, v => !IsUnused(v.Layer)
                && v.Kind is VerdictKind.NonFinite or VerdictKind.NotSeen or VerdictKind.NotRegistered or VerdictKind.NotConnected);
    }

    /// <summary>What stab.nn norms saved loads into torch.nn norms, and the other way.</summary>
    private static void Saves(nn.Module<Tensor, Tensor> model, Tensor x, ScalarType dtype)
    {
        using var file = new MemoryStream();
        using var writer = new BinaryWriter(file);
        model.save(writer);
        var expected = Output(model, x);
        stab.nn.utils.restore_norms_(model);
        foreach (bool swapped in new[] { false, true })
        {
            using (no_grad())
                foreach (var t in model.state_dict().Values) t.add_(1);
            if (swapped) stab.nn.utils.swap_norms_(model);
            file.Position = 0;
            using var reader = new BinaryReader(file, System.Text.Encoding.UTF8, leaveOpen: true);
            model.load(reader);
            RealModels.Relative(expected, Output(model, x), Tolerance.Of(dtype), $"loaded, swapped {swapped}");
        }
    }

    private static void Folds(nn.Module<Tensor, Tensor> model, TorchStab.Modules.ClippingAwareOptimizer optimizer, Tensor x, Tensor y,
        int norms, ScalarType dtype)
    {
        var expected = Output(model, x);
        stab.nn.utils.fuse_norms(model, out var report, x);
        Assert.True(report.Changes.Count == norms && report.Refusals.Count == 0, report.ToString());
        RealModels.Relative(expected, Output(model, x), Tolerance.Folded(dtype), "folded");
        optimizer.rebind(model);
        optimizer.zero_grad();
        nn.functional.cross_entropy(model.call(x), y).backward();
        optimizer.step();
        Assert.False(optimizer.LastStep.Skipped);
    }

    /// <summary>Inception v3 has an auxiliary head that its forward never runs: monitors say so.</summary>
    private static bool IsUnused(string layer) => layer.StartsWith("AuxLogits", StringComparison.Ordinal);

    private static Tensor Output(nn.Module<Tensor, Tensor> model, Tensor x)
    {
        using var _ = no_grad();
        model.eval();
        return model.call(x);
    }
}
