using TorchStab.Modules;
using static TorchSharp.torch.optim;

namespace TorchStab;

public static partial class stab
{
    public static partial class optim
    {
        /// <summary>Learning-rate schedules that start with a warm-up and can be saved, as <c>torch.optim.lr_scheduler</c>.</summary>
        public static class lr_scheduler
        {
            /// <summary>
            /// Linear warm-up, then half a cosine (Loshchilov and Hutter 2017): the rate of step k is the group's initial rate times k/warmup_steps at
            /// first, then min_ratio + (1 − min_ratio)·(1 + cos(π·(k − warmup_steps)/(total_steps − warmup_steps)))/2, and min_ratio from total_steps on.
            /// </summary>
            /// <param name="optimizer">Any <c>torch.optim</c> optimizer, TorchStab's included.</param>
            /// <param name="warmup_steps">The number of steps until the full rate, at least 0.</param>
            /// <param name="total_steps">The number of steps until the smallest rate, warm-up included; at least warmup_steps.</param>
            /// <param name="min_ratio">The smallest rate as a fraction of the initial rate, from 0 to 1; default 0.</param>
            /// <returns>The schedule. It has set the optimizer's rates to those of step 0.</returns>
            /// <exception cref="ArgumentNullException"><paramref name="optimizer"/> is null.</exception>
            /// <exception cref="ArgumentOutOfRangeException">A number outside its range.</exception>
            /// <remarks><inheritdoc cref="WarmupScheduler" path="/remarks/node()"/></remarks>
            public static WarmupCosine WarmupCosine(Optimizer optimizer, long warmup_steps, long total_steps, double min_ratio = 0) =>
                new(optimizer, warmup_steps, total_steps, min_ratio);

            /// <summary>
            /// Linear warm-up, a constant rate, linear decay (“WSD”, Hu et al. 2024): the rate of step k is the group's initial rate times k/warmup_steps
            /// at first, 1 for stable_steps, then 1 − (1 − min_ratio)·(k − warmup_steps − stable_steps)/decay_steps, and min_ratio from there on.
            /// </summary>
            /// <param name="optimizer">Any <c>torch.optim</c> optimizer, TorchStab's included.</param>
            /// <param name="warmup_steps">The number of steps until the full rate, at least 0.</param>
            /// <param name="stable_steps">The number of steps at the full rate, at least 0.</param>
            /// <param name="decay_steps">The number of steps from the full to the smallest rate, at least 0.</param>
            /// <param name="min_ratio">The smallest rate as a fraction of the initial rate, from 0 to 1; default 0.</param>
            /// <returns>The schedule. It has set the optimizer's rates to those of step 0.</returns>
            /// <exception cref="ArgumentNullException"><paramref name="optimizer"/> is null.</exception>
            /// <exception cref="ArgumentOutOfRangeException">A number outside its range.</exception>
            /// <remarks><inheritdoc cref="WarmupScheduler" path="/remarks/node()"/></remarks>
            public static WarmupStableDecay WarmupStableDecay(Optimizer optimizer, long warmup_steps, long stable_steps, long decay_steps,
                double min_ratio = 0) =>
                new(optimizer, warmup_steps, stable_steps, decay_steps, min_ratio);
        }
    }
}
