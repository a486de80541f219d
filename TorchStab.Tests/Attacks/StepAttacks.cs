using TorchSharp.Modules;
using TorchStab.Modules;
using static TorchSharp.torch;
using SGD = TorchStab.Modules.SGD;

namespace TorchStab.Tests.Attacks;

/// <summary>Optimizers whose memory is taken away between two steps, or that are used in the middle of one.</summary>
public static class StepAttacks
{
    private static readonly Func<Parameter[], ClippingAwareOptimizer>[] Kinds =
    [
        p => stab.optim.Adam(p, 0.01, amsgrad: true), p => stab.optim.AdamW(p, 0.01), p => stab.optim.SGD(p, 0.01, 0.9),
        p => stab.optim.RMSprop(p, 0.01, momentum: 0.9, centered: true),
    ];

    /// <summary>A moment that got other memory is updated there; one that got another size is refused, and nothing is written.</summary>
    [Attack]
    public static void MomentsMoveTheirMemory()
    {
        foreach (var kind in Kinds)
        {
            foreach (long size in new[] { 10L, 200_000 })
            {
                using var scope = NewDisposeScope();
                Parameter[] p = [new(ones(size)), new(ones(size))];
                using var optimizer = kind(p);
                for (int step = 0; step < 4; step++)
                {
                    foreach (var q in p) q.grad = randn(size);
                    optimizer.step();
                    foreach (var moment in Moments(optimizer)) moment.set_(moment.clone());
                }
                var before = p[0].detach().clone();
                foreach (var moment in Moments(optimizer))
                {
                    long[] shape = moment.shape;
                    var kept = moment.clone();
                    foreach (long other in new[] { 1, size - 1, size * 2 })
                    {
                        moment.set_(zeros(other));
                        Expect.Throws<InvalidOperationException>(() => optimizer.step(), "of shape");
                    }
                    moment.set_(kept);
                }
                Expect.Close(before, p[0], 0);
                optimizer.step();
                Expect.True(Array.TrueForAll(p, q => q.isfinite().all().item<bool>()), "a parameter is not finite");
            }
        }
    }

    /// <summary>What an <c>exclude</c> callback does to its own optimizer, its parameters and gradients is refused, or followed.</summary>
    [Attack]
    public static void CallbacksUseTheirOptimizer()
    {
        var calls = new Dictionary<string, Action<ClippingAwareOptimizer, Parameter[]>>
        {
            ["step()"] = (o, _) => o.step(),
            ["zero_grad()"] = (o, _) => o.zero_grad(),
            ["add_param_group()"] = (o, _) => o.add_param_group(new SGD.ParamGroup([new Parameter(ones(3))])),
            ["rebind()"] = (o, p) => o.rebind(p.Select((q, i) => ($"p{i}", q))),
            ["load_state_dict()"] = (o, _) => o.load_state_dict(o.state_dict()),
            ["accumulate()"] = (o, _) => o.accumulate(3),
            ["MomentDtype"] = (o, _) => o.MomentDtype = ScalarType.Float64,
            ["Dispose()"] = (o, _) => o.Dispose(),
            ["a gradient of another shape"] = (_, p) => p[1].grad!.set_(ones(1)),
            ["was disposed"] = (_, p) => p[1].Dispose(),
        };
        foreach (var (words, call) in calls)
        {
            foreach (bool rules in new[] { false, true })
            {
                using var scope = NewDisposeScope();
                var (optimizer, p) = New(rules, call);
                using (optimizer)
                {
                    var error = Expect.Throws<InvalidOperationException>(() => optimizer.step());
                    Expect.True(words.Contains(' ') || error.Message.Contains(words), $"the message lacks '{words}': {error.Message}");
                    Expect.Close(ones(40, 50), p[0], 0);
                    optimizer.Clip = null;
                    if (p[1].IsInvalid) continue;
                    p[1].grad = ones(40, 50);
                    optimizer.step();
                    Expect.True(p[0].isfinite().all().item<bool>() && !p[0].equal(ones_like(p[0])).all().item<bool>(), "the next step was not taken");
                }
            }
        }
        foreach (bool rules in new[] { false, true })
        {
            using var scope = NewDisposeScope();
            var (optimizer, p) = New(rules, (_, all) =>
            {
                foreach (var q in all)
                {
                    q.grad = null;
                    q.set_(q.clone());
                }
                GC.Collect();
            });
            using (optimizer) optimizer.step();
            Expect.True(!p[0].equal(ones_like(p[0])).all().item<bool>(), "the gradients that the step began with were not used");
        }
    }

    /// <summary>Steps of one optimizer from several threads: one at a time, the others are refused by name.</summary>
    [Attack]
    public static void ThreadsStepAtOnce()
    {
        foreach (var kind in Kinds)
        {
            Parameter[] p = [.. Enumerable.Range(0, 60).Select(i => new Parameter(ones(100 + i)) { grad = ones(100 + i) })];
            using ClippingAwareOptimizer own = kind(p);
            using var around = stab.optim.ClippedOptimizer(optim.SGD(p, 1e-6), GradientClip.ByGlobalNorm(1));
            own.Clip = GradientClip.Percentile();
            foreach (Action step in new Action[] { () => own.step(), () => around.step() })
            {
                int taken = 0;
                Thread[] threads = [.. Enumerable.Range(0, 3).Select(_ => new Thread(() =>
                {
                    for (int i = 0; i < 200; i++)
                    {
                        try
                        {
                            step();
                            Interlocked.Increment(ref taken);
                        }
                        catch (InvalidOperationException e) when (e.Message.StartsWith("step() was called while", StringComparison.Ordinal))
                        {
                        }
                    }
                }))];
                foreach (var t in threads) t.Start();
                foreach (var t in threads) t.Join();
                Expect.True(taken > 0, "no step was taken");
                Expect.True(Array.TrueForAll(p, q => q.isfinite().all().item<bool>()), "a parameter is not finite");
            }
        }
    }

    /// <summary>
    /// Calls that write or free state, from several threads while others step: one runs at a time, the others are refused by name, and a file that is
    /// saved meanwhile is whole.
    /// </summary>
    [Attack]
    public static void ThreadsLoadSaveAndDispose()
    {
        string folder = Directory.CreateTempSubdirectory().FullName, good = Path.Combine(folder, "good"), saved = Path.Combine(folder, "saved");
        foreach (var kind in Kinds)
        {
            Parameter[] p = [.. Enumerable.Range(0, 40).Select(i => new Parameter(ones(500 + i)) { grad = ones(500 + i) })];
            var own = kind(p);
            own.step();
            own.save_state_dict(good);
            using var around = stab.optim.ClippedOptimizer(kind(p), GradientClip.ByGlobalNorm(1));
            AtOnce(() => own.step(), () => own.load_state_dict(good), () => own.save_state_dict(saved), () => own.zero_grad(false), () => own.state_dict(),
                () => own.rebind(p.Select((q, i) => ($"{i}", q))), () => own.accumulate(1));
            AtOnce(() => around.step(), () => around.load_state_dict(good), () => around.save_state_dict(saved + "2"), () => around.zero_grad(false));
            AtOnce(() => own.step(), () => own.MomentDtype = ScalarType.Float64, () => own.MomentDtype = null, () => own.load_state_dict(own.state_dict()));
            own.MomentDtype = null;
            own.load_state_dict(good);
            if (File.Exists(saved)) own.load_state_dict(saved);
            Expect.True(Array.TrueForAll(p, q => q.isfinite().all().item<bool>()), "a parameter is not finite");
            AtOnce(() => own.step(), own.Dispose, () => own.save_state_dict(saved), () => own.load_state_dict(good));
            File.Delete(saved);
        }
        Directory.Delete(folder, true);
    }

    private static void AtOnce(params Action[] calls)
    {
        var unnamed = new System.Collections.Concurrent.ConcurrentQueue<Exception>();
        var end = DateTime.UtcNow.AddSeconds(0.4);
        Thread[] threads = [.. calls.Select(call => new Thread(() =>
        {
            while (DateTime.UtcNow < end)
            {
                try
                {
                    call();
                }
                catch (Exception e) when (e is ObjectDisposedException || e.Message.Contains(" was called while ", StringComparison.Ordinal))
                {
                }
                catch (Exception e)
                {
                    unnamed.Enqueue(e);
                }
            }
        }))];
        foreach (var t in threads) t.Start();
        foreach (var t in threads) t.Join();
        Expect.True(unnamed.IsEmpty, $"{unnamed.Count} errors without a name, such as {unnamed.FirstOrDefault()}");
    }

    /// <summary>A closure that disposes its optimizer, or steps it, ends in a named error.</summary>
    [Attack]
    public static void ClosuresUseTheirOptimizer()
    {
        using var p = new Parameter(ones(3)) { grad = ones(3) };
        ClippingAwareOptimizer own = stab.optim.Adam([p]);
        Expect.Throws<ObjectDisposedException>(() => own.step(() =>
        {
            own.Dispose();
            return zeros(1);
        }));
        var around = stab.optim.ClippedOptimizer(optim.Adam([p]), GradientClip.ByNorm(1));
        Expect.Throws<ObjectDisposedException>(() => around.step(() =>
        {
            around.Dispose();
            return zeros(1);
        }));
        foreach (string call in new[] { "step()", "Dispose()" })
        {
            using var lbfgs = stab.optim.ClippedOptimizer(optim.LBFGS([p]), GradientClip.ByNorm(1));
            Expect.Throws<InvalidOperationException>(() => lbfgs.step(() =>
            {
                if (call == "step()") lbfgs.step(() => zeros(1));
                else lbfgs.Dispose();
                return zeros(1);
            }), call);
        }
        Expect.Close(ones(3), p, 0);
    }

    // Two groups; with rules of their own the second one's parameters are asked about.
    private static (ClippingAwareOptimizer Optimizer, Parameter[] Parameters) New(bool rules, Action<ClippingAwareOptimizer, Parameter[]> call)
    {
        Parameter[] p = [.. Enumerable.Range(0, 3).Select(_ => new Parameter(ones(40, 50)) { grad = ones(40, 50) })];
        var optimizer = stab.optim.SGD([new SGD.ParamGroup([("p0", p[0])], clipnorm: rules ? 1 : null), new SGD.ParamGroup([("p1", p[1]), ("p2", p[2])])], 0.1,
            0.9);
        bool called = false;
        optimizer.Clip = GradientClip.Adaptive(exclude: (_, _) =>
        {
            if (!called)
            {
                called = true;
                call(optimizer, p);
            }
            return true;
        });
        return (optimizer, p);
    }

    private static IEnumerable<Tensor> Moments(ClippingAwareOptimizer optimizer)
    {
        var state = optimizer.state_dict().State[1];
        return [.. state.GetType().GetFields().Select(f => f.GetValue(state)).OfType<Tensor>()];
    }
}
