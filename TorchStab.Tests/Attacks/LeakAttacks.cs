using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Tests.Attacks;

/// <summary>
/// Calls that fail lose no memory, to some bytes: glibc counts what is allocated. TorchSharp loses the text of every error of libtorch that it raises (it is
/// copied with strdup and never freed), with its own norms too: that much is taken off.
/// </summary>
public static class LeakAttacks
{
    private const int Calls = 30, Rounds = 8;

    private static long s_texts;

    /// <summary>Inputs of inference mode, tensors changed in place, second passes, failing inputs.</summary>
    [Attack(Environment = ["DOTNET_TieredCompilation=0"])]
    public static void FailingCallsLoseNothing()
    {
        if (!NativeLibrary.TryGetExport(NativeLibrary.GetMainProgramHandle(), "mallinfo2", out _)) return;
        AppDomain.CurrentDomain.FirstChanceException += CountText; // before the library exchanges a message
        using var inferred = Inferred();
        using var weight = ones(8, requires_grad: true);
        Lose("torch's own, changed in place", () => Changed(() => ones(4, 8) * 1, x => nn.functional.layer_norm(x, [8L], weight)));
        foreach (var kind in Enum.GetValues<AutogradKind>())
        {
            AutogradPlug.Kind = kind;
            Lose($"{kind}, input of inference mode", () => stab.nn.functional.layer_norm(inferred, [8], weight).Dispose());
            Lose($"{kind}, backward to an input of inference mode", () => Backward(stab.nn.functional.layer_norm(inferred, [8], weight)));
            Lose($"{kind}, input of inference mode that wants a gradient",
                () => Refused(() => stab.nn.functional.layer_norm(Inferred().requires_grad_(true), [8], weight)));
            Lose($"{kind}, changed in place", () => Changed(() => ones(4, 8) * 1, x => stab.nn.functional.layer_norm(x, [8], weight)));
            Lose($"{kind}, second backward", () => Twice(stab.nn.functional.layer_norm(ones(4, 8), [8], weight)));
            Lose($"{kind}, sparse gradient", () => Refused(() => stab.nn.functional.layer_norm(ones(4, 8), [8], weight).backward([ones(4, 8).to_sparse()])));
            Lose($"{kind}, sparse input", () => Refused(() => stab.nn.functional.rms_norm(ones(4, 8).to_sparse(), [8], weight)));
        }
    }

    [DllImport("libc", EntryPoint = "mallinfo2")]
    private static extern Heap HeapNow();

    private static Tensor Inferred()
    {
        using (inference_mode()) return ones(4, 8);
    }

    private static void Backward(Tensor output) => output.backward([ones(4, 8)]);

    private static void Changed(Func<Tensor> make, Func<Tensor, Tensor> norm)
    {
        var x = make();
        var y = norm(x);
        x.add_(1);
        Refused(() => Backward(y));
    }

    private static void Twice(Tensor output)
    {
        Backward(output);
        Refused(() => Backward(output));
    }

    private static void Refused(Action call)
    {
        try
        {
            call();
        }
        catch (Exception e) when (e is ExternalException or InvalidOperationException)
        {
        }
    }

    private static void CountText(object? sender, FirstChanceExceptionEventArgs e)
    {
        if (e.Exception is ExternalException && e.Exception.StackTrace?.Contains("TorchSharp.torch.CheckForErrors", StringComparison.Ordinal) == true)
            s_texts += (e.Exception.Message.Length + 1 + sizeof(long) + 15) / 16 * 16; // as malloc rounds
    }

    // The runtime allocates too, less and less often, as it compiles and grows its tables, and Function<T> keeps its last gradients until its next call: what
    // every round of calls loses is lost.
    private static void Lose(string what, Action call)
    {
        var (bytes, tensors) = LostBy(what, call);
        for (int round = 1; round < Rounds && (tensors > 0 || Math.Abs(bytes) >= 32); round++) (bytes, tensors) = LostBy(what, call);
        Expect.True(tensors <= 0 && Math.Abs(bytes) < 32, $"{what} loses {bytes} bytes a call, and {tensors} tensors");
    }

    private static (long BytesPerCall, long Tensors) LostBy(string what, Action call)
    {
        (long heap, long tensors, long texts) = (Allocated(), Tensor.TotalCount, s_texts);
        for (int i = 0; i < Calls; i++)
        {
            using var scope = NewDisposeScope();
            call();
        }
        (heap, tensors, texts) = (Allocated() - heap, Tensor.TotalCount - tensors, s_texts - texts);
        Console.WriteLine($"{what}: {(heap - texts) / Calls} bytes a call besides {texts / Calls} of texts, {tensors} tensors");
        return ((heap - texts) / Calls, tensors);
    }

    private static long Allocated()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        var heap = HeapNow();
        return (long)(heap.Used + heap.Mapped);
    }

    /// <summary>glibc's struct mallinfo2.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Heap
    {
        public nuint Arena, FreeChunks, FastChunks, MappedRegions, Mapped, Highest, FastFree, Used, Free, Trimmable;
    }
}
