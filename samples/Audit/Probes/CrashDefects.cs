using System.Diagnostics;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Audit.Probes;

/// <summary>What ends the process where C# cannot catch it.</summary>
internal static class CrashDefects
{
    public static IReadOnlyList<Defect> All { get; } =
    [
        new("autograd.grad of an unused input", "diagnostics that never ask for one", UnusedInput, Aborts: true),
        new("an exception in a custom Function's backward", "backward passes that never throw", ThrowingBackward, Aborts: true),
        new("an unused output of a custom Function in a DisposeScope", "nodes that keep no output alive", UnusedOutput, Aborts: true),
        new("Ctrl-C during the LSTM's backward on the main thread", "samples that train on another thread", InterruptedLSTM, Aborts: true),
        new("a custom Function's second backward raises no error", "stab.nn: autograd's usual error", SecondBackward),
    ];

    private static string? UnusedInput()
    {
        var (used, unused) = (ones(1, requires_grad: true), ones(1, requires_grad: true));
        Catch(() => autograd.grad([used.mul(2)], [unused]));
        return null;
    }

    private static string? ThrowingBackward()
    {
        Catch(() => Throwing.apply(ones(1, requires_grad: true)).backward());
        return null;
    }

    private static string? UnusedOutput()
    {
        var x = ones(2, requires_grad: true);
        Tensor first;
        using (var scope = NewDisposeScope()) first = scope.MoveToOuter(Twins.apply(x)[0]);
        Catch(() => first.sum().backward());
        return null;
    }

    private static string? SecondBackward()
    {
        var output = Square.apply(full([1], 3.0, requires_grad: true));
        output.backward();
        try
        {
            output.backward();
        }
        catch (Exception)
        {
            return null;
        }
        return "it runs, and saved tensors live on";
    }

    // oneDNN's, with one thread: a signal that is handled, as Ctrl-C is by a program that wants to save its work, corrupts the heap.
    private static string? InterruptedLSTM()
    {
        if (OperatingSystem.IsWindows()) return null;
        set_num_threads(1);
        using var handled = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => context.Cancel = true);
        var interrupter = new Thread(() =>
        {
            for (int i = 0; i < 200; i++) Process.Start("kill", ["-INT", $"{Environment.ProcessId}"]).WaitForExit();
        });
        interrupter.Start();
        var lstm = nn.LSTM(64, 128);
        while (interrupter.IsAlive)
        {
            using var scope = NewDisposeScope();
            lstm.call(randn(64, 32, 64)).Item1.square().mean().backward();
        }
        return null;
    }

    // Whether it throws or not: what can be caught is no defect here.
    private static void Catch(Action action)
    {
        try
        {
            action();
        }
        catch (Exception e)
        {
            Console.WriteLine(e.Message);
        }
    }

    private sealed class Throwing : autograd.SingleTensorFunction<Throwing>
    {
        public override string Name => nameof(Throwing);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars) => ((Tensor)vars[0]).mul(2);

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output) => throw new InvalidOperationException("from backward");
    }

    private sealed class Twins : autograd.MultiTensorFunction<Twins>
    {
        public override string Name => nameof(Twins);

        public override List<Tensor> forward(autograd.AutogradContext ctx, params object[] vars) => [((Tensor)vars[0]).mul(2), ((Tensor)vars[0]).mul(3)];

        public override List<Tensor> backward(autograd.AutogradContext ctx, List<Tensor> grad_outputs) => [grad_outputs[0].mul(2)];
    }

    private sealed class Square : autograd.SingleTensorFunction<Square>
    {
        public override string Name => nameof(Square);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            ctx.save_for_backward([(Tensor)vars[0]]);
            return ((Tensor)vars[0]).square();
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output) => [ctx.get_saved_variables()[0].mul(2).mul(grad_output)];
    }
}
