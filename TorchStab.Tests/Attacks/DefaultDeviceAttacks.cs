using static TorchSharp.torch;

namespace TorchStab.Tests.Attacks;

/// <summary>Tensors on the CPU while the default device is another: every tensor made inside names its device.</summary>
public static class DefaultDeviceAttacks
{
    /// <summary>Norms in every dtype, their gradients and second derivatives.</summary>
    [Attack]
    public static void Norms()
    {
        set_default_device(META);
        foreach (var dtype in new[] { ScalarType.Float16, ScalarType.BFloat16, ScalarType.Float32, ScalarType.Float64 })
        {
            nn.Module<Tensor, Tensor>[] norms =
            [
                stab.nn.BatchNorm2d(4, device: CPU, dtype: dtype), stab.nn.BatchNormReLU2d(4, device: CPU, dtype: dtype),
                stab.nn.BatchRenorm2d(4, device: CPU, dtype: dtype),
                stab.nn.InstanceNorm2d(4, affine: true, track_running_stats: true, device: CPU, dtype: dtype),
                stab.nn.GroupNorm(2, 4, device: CPU, dtype: dtype),
                stab.nn.LayerNorm(6, device: CPU, dtype: dtype), stab.nn.RMSNorm(6, device: CPU, dtype: dtype),
                stab.nn.SyncBatchNorm(4, device: CPU, dtype: dtype),
            ];
            foreach (var norm in norms)
            {
                using var scope = NewDisposeScope();
                for (int pass = 0; pass < 2; pass++)
                {
                    var x = randn(3, 4, 5, 6, dtype: dtype, device: CPU, requires_grad: true);
                    var y = norm.call(x);
                    var first = autograd.grad([y], [x], [y.detach()], retain_graph: true, create_graph: dtype != ScalarType.Float16)[0];
                    if (dtype != ScalarType.Float16) first.square().sum().backward();
                    Expect.True(y.isfinite().all().item<bool>(), $"{norm.GetName()} of {dtype}");
                    norm.eval();
                }
                norm.Dispose();
            }
        }
    }

    /// <summary>Initializers, by function and by model.</summary>
    [Attack]
    public static void Initializers()
    {
        set_default_device(META);
        using var scope = NewDisposeScope();
        Action<Tensor>[] fills =
        [
            t => stab.nn.init.trunc_normal_(t), t => stab.nn.init.lecun_normal_(t), t => stab.nn.init.orthogonal_(t), t => stab.nn.init.xavier_uniform_(t),
            t => stab.nn.init.kaiming_normal_(t), t => stab.nn.init.sparse_(t, 0.5), t => stab.nn.init.eye_(t), t => stab.nn.init.normal_(t),
            t => stab.nn.init.zeros_(t),
        ];
        foreach (var fill in fills)
            foreach (var dtype in new[] { ScalarType.Float32, ScalarType.BFloat16, ScalarType.Float64 })
            {
                var t = empty(6, 8, dtype: dtype, device: CPU);
                fill(t);
                Expect.True(t.isfinite().all().item<bool>(), $"{dtype}");
            }
        using var model = nn.Sequential(nn.Linear(6, 8, device: CPU), nn.ReLU(), nn.Linear(8, 6, device: CPU));
        stab.nn.init.initialize_(model);
        stab.nn.init.lsuv_(model, randn(32, 6, device: CPU));
    }

    /// <summary>Training: clipping, optimizers, monitors, recurrent layers, surgery.</summary>
    [Attack]
    public static void Training()
    {
        set_default_device(META);
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            using var scope = NewDisposeScope();
            using var model = nn.Sequential(nn.Linear(6, 8, device: CPU, dtype: dtype), nn.BatchNorm1d(8, device: CPU, dtype: dtype), nn.ReLU(),
                nn.Linear(8, 2, device: CPU, dtype: dtype));
            using var monitor = new GradientMonitor(model);
            foreach (var optimizer in new optim.Optimizer[]
            {
                stab.optim.Adam(model.parameters(), 0.01, amsgrad: true, global_clipnorm: 0.1), stab.optim.SGD(model.parameters(), 0.01, 0.9, clipvalue: 0.1),
                stab.optim.RMSprop(model.parameters(), 0.01, momentum: 0.9, centered: true, clipnorm: 0.1),
                stab.optim.ClippedOptimizer(optim.SGD(model.parameters(), 0.01), GradientClip.Adaptive()),
            })
            {
                optimizer.zero_grad();
                model.call(randn(5, 6, dtype: dtype, device: CPU)).square().mean().backward();
                stab.nn.utils.clip_grad_norm_(model.parameters(), 0.1, norm_type: 3);
                monitor.Step(optimizer);
            }
            monitor.Judge();
            stab.nn.utils.swap_norms_(model);
            model.call(randn(5, 6, dtype: dtype, device: CPU));
            model.eval();
            stab.nn.utils.fuse_norms(model, out _, randn(5, 6, dtype: dtype, device: CPU));
            using var lstm = stab.nn.LayerNormLSTM(6, 4, device: CPU, dtype: dtype);
            lstm.call(randn(3, 2, 6, dtype: dtype, device: CPU)).Item1.mean().backward();
        }
    }
}
