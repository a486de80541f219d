using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Attacks;

/// <summary>Tensors that pass every check of device, dtype and layout and have no plain memory behind them.</summary>
public static class PlainMemoryAttacks
{
    private const string Script = """
        def zero(x):
            return torch._efficientzerotensor(x.size())
        def opaque(x):
            return x.to_mkldnn()
        """;

    private static readonly jit.CompilationUnit Made = jit.compile(Script + "\n");

    /// <summary>Zeros that autograd made without memory are zeros: as input, weight, statistics and as a gradient.</summary>
    [Attack]
    public static void TensorsOfZerosWithoutMemory()
    {
        Norms("zero", refused: false);
        Steps("zero", refused: false);
    }

    /// <summary>oneDNN's layout works, or is refused by an exception.</summary>
    [Attack]
    public static void OpaqueTensors()
    {
        Norms("opaque", refused: true);
        Steps("opaque", refused: true);
    }

    private static void Norms(string kind, bool refused)
    {
        using var scope = NewDisposeScope();
        var plain = zeros(4, 8, 3, 3);
        var x = Make(kind, plain);
        Func<Tensor, Tensor, Tensor>[] norms =
        [
            (t, w) => stab.nn.functional.layer_norm(t, [3], w.narrow(0, 0, 3)),
            (t, _) => stab.nn.functional.rms_norm(t, [3]),
            (t, w) => stab.nn.functional.group_norm(t, 2, w),
            (t, w) => stab.nn.functional.batch_norm(t, null, null, w, training: true),
            (t, w) => stab.nn.functional.batch_norm(t, w, ones(8), null, training: false),
            (t, _) => stab.nn.functional.instance_norm(t),
        ];
        foreach (var norm in norms)
        {
            Run(refused, () => Expect.Close(norm(plain, zeros(8)), norm(x, zeros(8))));
            if (kind == "zero") Run(refused, () => Expect.Close(norm(plain, zeros(8)), norm(plain, Make(kind, zeros(8)))));
            Run(refused, () =>
            {
                var leaf = randn(4, 8, 3, 3, requires_grad: true);
                norm(leaf, ones(8)).backward([x]);
                Expect.Close(plain, leaf.grad!);
            });
        }
    }

    private static void Steps(string kind, bool refused)
    {
        using var scope = NewDisposeScope();
        foreach (long size in new long[] { 1, 300 })
        {
            var parameter = new Parameter(ones(size, 2));
            using var optimizer = stab.optim.AdamW([parameter], 0.1, weight_decay: 0.5, clipnorm: 1);
            Run(refused, () =>
            {
                parameter.grad = Make(kind, zeros(size, 2));
                optimizer.step();
                Expect.Close(full([size, 2], 0.95f), parameter);
            });
            Run(refused: true, () => stab.nn.utils.clip_grad_norm_([parameter], 1));
        }
    }

    private static Tensor Make(string kind, Tensor like) => (Tensor)Made.invoke(kind, like);

    private static void Run(bool refused, Action call)
    {
        try
        {
            call();
        }
        catch (Exception e) when (refused && e is ArgumentException or InvalidOperationException or System.Runtime.InteropServices.ExternalException)
        {
            // An answer, too.
        }
    }
}
