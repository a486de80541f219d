using TorchStab.Modules;
using Module = TorchSharp.torch.nn.Module;

namespace TorchStab;

public static partial class stab
{
    public static partial class optim
    {
        /// <summary>Averages of weights, as <c>torch.optim.swa_utils</c>; its <c>update_bn</c> is <c>stab.nn.utils.update_bn</c>.</summary>
        public static class swa_utils
        {
            /// <inheritdoc cref="Modules.AveragedModel"/>
            /// <param name="model">The model whose weights are averaged; nothing in it is changed.</param>
            /// <param name="avg_fn">The rule; null (the default): the plain mean, as <see cref="get_swa_multi_avg_fn"/>.</param>
            /// <param name="use_buffers">Whether floating-point buffers are averaged too; default false: they are copied.</param>
            /// <returns>The average, without updates so far.</returns>
            /// <exception cref="ArgumentNullException"><paramref name="model"/> is null.</exception>
            public static AveragedModel AveragedModel(Module model, AveragingRule? avg_fn = null, bool use_buffers = false) => new(model, avg_fn, use_buffers);

            /// <summary>
            /// The exponential moving average: average ← decay·average + (1 − decay)·weight. With <paramref name="tau"/> the decay grows with the number k of
            /// updates, decayₖ = decay·(1 − e^(−k/τ)), so that the first weights are soon forgotten, as detectors are trained (YOLOv5: 0.9999 and 2000).
            /// </summary>
            /// <param name="decay">From 0 to 1; default 0.999.</param>
            /// <param name="tau">Updates over which the decay grows, above 0; null (the default): it is constant.</param>
            /// <returns>The rule, as <c>torch.optim.swa_utils.get_ema_multi_avg_fn</c>.</returns>
            /// <exception cref="ArgumentOutOfRangeException">A number outside its range.</exception>
            public static AveragingRule get_ema_multi_avg_fn(double decay = 0.999, double? tau = null) => AveragingRule.Exponential(decay, tau);

            /// <summary>The plain mean over all updates: average ← average + (weight − average)/(n + 1).</summary>
            /// <returns>The rule, as <c>torch.optim.swa_utils.get_swa_multi_avg_fn</c> (Izmailov et al. 2018).</returns>
            /// <exception cref="ArgumentException">Never: it takes no arguments.</exception>
            public static AveragingRule get_swa_multi_avg_fn() => AveragingRule.Mean();
        }
    }
}
