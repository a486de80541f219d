using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Tests.Attacks;

/// <summary>Gradients of what libtorch cannot save, cannot read or no longer has; each against torch's own norm on ordinary tensors.</summary>
public static class AutogradAttacks
{
    private static readonly long[] Row = [8], Wide = [4, 8, 3, 3];

    /// <summary>Inputs and weights made in inference mode: the right gradient, and PyTorch's error where there is none.</summary>
    [Attack]
    public static void TensorsOfInferenceMode()
    {
        foreach (var kind in Enum.GetValues<AutogradKind>())
        {
            AutogradPlug.Kind = kind;
            foreach (var (name, ours, theirs, shape) in Norms())
            {
                Console.WriteLine($"{kind} {name}");
                OfInferenceMode(ours, theirs, shape, inferInput: true, inferWeight: false);
                OfInferenceMode(ours, theirs, shape, inferInput: false, inferWeight: true);
            }
            using (inference_mode())
            using (enable_grad())
            using (var untracked = stab.nn.functional.layer_norm(ones(4, 8, requires_grad: true), Row))
                Expect.True(!untracked.requires_grad, "inference mode recorded a norm");
            Tensor wanted;
            using (inference_mode()) wanted = randn(4, 8, requires_grad: true);
            Expect.Throws<Exception>(() => stab.nn.functional.layer_norm(wanted, Row).sum().backward(), "Inference tensors cannot be saved for backward");
        }
    }

    /// <summary>A sparse gradient of the output, with and without create_graph.</summary>
    [Attack]
    public static void SparseGradients()
    {
        foreach (var kind in Enum.GetValues<AutogradKind>())
        {
            AutogradPlug.Kind = kind;
            foreach (var (name, ours, theirs, shape) in Norms())
            {
                Console.WriteLine($"{kind} {name}");
                using var scope = NewDisposeScope();
                Tensor x = randn(shape), weight = randn(8), bias = randn(8), upstream = randn(shape);
                foreach (bool graph in new[] { false, true })
                    Expect.Close(Gradients(theirs, upstream, graph), Gradients(ours, upstream.to_sparse(), graph), 1e-4);

                Tensor Gradients(Norm norm, Tensor gradient, bool graph)
                {
                    Tensor[] leaves = [.. new[] { x, weight, bias }.Select(t => t.detach().clone().requires_grad_(true))];
                    norm(leaves[0], leaves[1], leaves[2]).backward([gradient], create_graph: graph, retain_graph: graph);
                    return cat([.. leaves.Select(l => l.grad is { } g ? g.detach().to_dense().flatten() : zeros(1))]);
                }
            }
        }
    }

    /// <summary>
    /// create_graph after requires_grad was turned off, and with NaN in anomaly mode: autograd.grad would end the process within the callback.
    /// </summary>
    [Attack]
    public static void GraphsOfGradients()
    {
        foreach (var kind in Enum.GetValues<AutogradKind>())
        {
            AutogradPlug.Kind = kind;
            foreach (var (name, ours, theirs, shape) in Norms())
            {
                for (int frozen = 0; frozen < 2; frozen++)
                {
                    Console.WriteLine($"{kind} {name} {frozen}");
                    using var scope = NewDisposeScope();
                    Tensor x = randn(shape, requires_grad: true), weight = randn(8, requires_grad: true), bias = randn(8, requires_grad: true),
                        upstream = randn(shape);
                    var expected = autograd.grad([theirs(x, weight, bias)], [frozen == 0 ? weight : x], [upstream])[0];
                    var y = ours(x, weight, bias);
                    (frozen == 0 ? x : weight).requires_grad_(false);
                    y.backward([upstream], retain_graph: true, create_graph: true);
                    Expect.Close(expected, (frozen == 0 ? weight : x).grad!, 1e-4);
                }
                using (autograd.detect_anomaly())
                {
                    using var scope = NewDisposeScope();
                    Tensor x = full(shape, double.NaN, requires_grad: true), weight = ones(8, requires_grad: true), bias = ones(8, requires_grad: true);
                    Expect.Throws<ExternalException>(() => ours(x, weight, bias).backward([ones(shape)], retain_graph: true, create_graph: true), "nan");
                }
            }
        }
    }

    /// <summary>
    /// An input or a weight changed in place, and a second backward: PyTorch's words and which tensor of which norm, in the exception itself.
    /// </summary>
    [Attack]
    public static void ErrorsInPyTorchsWords()
    {
        foreach (var kind in Enum.GetValues<AutogradKind>())
        {
            AutogradPlug.Kind = kind;
            foreach (var (name, ours, _, shape) in Norms())
            {
                Console.WriteLine($"{kind} {name}");
                Changed(kind, name, ours, shape, weight: false);
                Changed(kind, name, ours, shape, weight: true);
                using var scope = NewDisposeScope();
                using var y = ours(randn(shape, requires_grad: true), ones(8), zeros(8));
                y.backward([ones(shape)]);
                if (kind == AutogradKind.Pooled)
                    Expect.Throws<ExternalException>(() => y.backward([ones(shape)]), "Trying to backward through the graph a second time", name);
            }
        }
    }

    private delegate Tensor Norm(Tensor input, Tensor weight, Tensor bias);

    private static void Changed(AutogradKind kind, string name, Norm norm, long[] shape, bool weight)
    {
        using var scope = NewDisposeScope();
        Tensor x = randn(shape, requires_grad: true) * 1, w = randn(8, requires_grad: true);
        var y = norm(x, w, zeros(8, requires_grad: true));
        using (no_grad()) (weight ? w : x).add_(1);
        string place = kind == AutogradKind.Pooled ? $"{name}'s {(weight ? "weight" : "input")}: " : name;
        Expect.Throws<ExternalException>(() => y.backward([ones(shape)]), place,
            "one of the variables needed for gradient computation has been modified by an inplace operation", "expected version 0 instead");
    }

    private static void OfInferenceMode(Norm ours, Norm theirs, long[] shape, bool inferInput, bool inferWeight)
    {
        using var scope = NewDisposeScope();
        Tensor x, weight, bias, upstream = randn(shape);
        using (inferInput ? inference_mode() : null) x = randn(shape);
        using (inferWeight ? inference_mode() : null) (weight, bias) = (randn(8), randn(8));
        Tensor Gradient(Norm norm, Func<Tensor, Tensor> copy)
        {
            var leaf = copy(inferInput ? weight : x).requires_grad_(true);
            norm(inferInput ? x : leaf, inferInput ? leaf : weight, bias).backward([upstream]);
            return leaf.grad!;
        }
        var actual = Gradient(ours, t => t.clone());
        (x, weight, bias) = (x.clone(), weight.clone(), bias.clone());
        Expect.Close(Gradient(theirs, t => t.clone()), actual, 1e-4);
    }

    private static IEnumerable<(string Name, Norm Ours, Norm Theirs, long[] Shape)> Norms()
    {
        yield return ("LayerNorm", (x, w, b) => stab.nn.functional.layer_norm(x, Row, w, b), (x, w, b) => nn.functional.layer_norm(x, Row, w, b), [4, 8]);
        yield return ("RMSNorm", (x, w, b) => stab.nn.functional.rms_norm(x, Row, w, 1e-5),
            (x, w, b) => x * (x.square().mean([-1], true) + 1e-5).rsqrt() * w, [4, 8]);
        yield return ("GroupNorm", (x, w, b) => stab.nn.functional.group_norm(x, 2, w, b), (x, w, b) => nn.functional.group_norm(x, 2, w, b), Wide);
        yield return ("InstanceNorm", (x, w, b) => stab.nn.functional.instance_norm(x, null, null, w, b),
            (x, w, b) => nn.functional.instance_norm(x, null!, null!, w, b), Wide);
        yield return ("BatchNorm", (x, w, b) => stab.nn.functional.batch_norm(x, null, null, w, b, training: true),
            (x, w, b) => nn.functional.batch_norm(x, null!, null!, w, b, training: true), Wide);
    }
}
