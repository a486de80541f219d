using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Tests.Attacks;

/// <summary>What a step needs beside parameters, gradients and state: the temporaries of one parameter, not those of all.</summary>
public static class MemoryAttacks
{
    private const int Count = 24;
    private const long Elements = 1 << 20, Megabyte = 1 << 20;

    /// <summary>float16 has no kernel: norms, clipping in place, a step, a skipped step and adaptive clipping in tensor operations.</summary>
    [Attack]
    public static void TemporariesStayThoseOfAFewParameters()
    {
        var parameters = Enumerable.Range(0, Count).Select(_ => new Parameter(ones(Elements / 64, 64, ScalarType.Float16))).ToList();
        foreach (var p in parameters) p.grad = full(p.shape, 1e-2, ScalarType.Float16);
        using var optimizer = stab.optim.Adam(parameters, amsgrad: true, global_clipnorm: 1);
        var agc = GradientClip.Adaptive();
        Within("clip_grad_norm_", () => stab.nn.utils.clip_grad_norm_(parameters, 1));
        Within("clip_grad_value_", () => stab.nn.utils.clip_grad_value_(parameters, 1e-3));
        Within("step", () => optimizer.step());
        Within("adaptive", () => agc.Apply(parameters));
        foreach (var p in parameters) p.grad!.fill_(double.PositiveInfinity);
        Within("skipped step", () => optimizer.step());
        Expect.True(optimizer.LastStep.Skipped, "the step was taken");
    }

    /// <summary>Gradients whose squares overflow or that are infinite, in the kernels' dtypes.</summary>
    [Attack]
    public static void InfiniteGradientsAreNotCopied()
    {
        var parameters = Enumerable.Range(0, Count).Select(_ => new Parameter(ones(Elements, ScalarType.Float32))).ToList();
        foreach (var p in parameters) p.grad = full(Elements, double.PositiveInfinity, ScalarType.Float32);
        using var optimizer = stab.optim.SGD(parameters, 0.1);
        Within("skipped step", () => optimizer.step());
        foreach (var p in parameters) p.grad!.fill_(3e38);
        Within("norm", () => stab.nn.utils.clip_grad_norm_(parameters, 1));
    }

    /// <summary>Steps by operations on lists, as on a device without kernels: copies of a tenth of the elements, here of two parameters, at a time.</summary>
    [Attack]
    public static void TemporariesOfListsStayThoseOfAPart()
    {
        KernelSelection.Mode = KernelMode.Native;
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            var parameters = Enumerable.Range(0, Count).Select(_ => new Parameter(ones(Elements / 64, 64, dtype))).ToList();
            foreach (var p in parameters) p.grad = full(p.shape, 1e-2, dtype);
            bool half = dtype == ScalarType.BFloat16;
            using var rmsprop = stab.optim.RMSprop(parameters, centered: true, momentum: 0.9, weight_decay: 0.1, global_clipnorm: 1, master_weights: half);
            Within($"RMSprop, {dtype}", () => rmsprop.step());
            using var adam = stab.optim.AdamW(parameters, clipvalue: 1e-3, master_weights: half);
            Within($"AdamW, {dtype}", () => adam.step());
        }
    }

    // Temporaries of one parameter are 4 MiB each in float32, 8 in float64; five of all would be 480 or more. The allocator's pieces between them are the
    // slack.
    private static void Within(string what, Action call)
    {
        call();
        File.WriteAllText("/proc/self/clear_refs", "5"); // the peak starts anew
        long before = Status("VmRSS");
        call();
        long more = Status("VmHWM") - before;
        Expect.True(more <= 120 * Megabyte, $"{what} took {more / Megabyte} MiB");
    }

    private static long Status(string name) => 1024 * long.Parse(File.ReadLines("/proc/self/status").First(l => l.StartsWith(name, StringComparison.Ordinal))
        .Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], System.Globalization.CultureInfo.InvariantCulture);
}
