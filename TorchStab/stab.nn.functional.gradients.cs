using TorchStab.Clipping;
using TorchStab.Diagnostics;
using static TorchSharp.torch;

namespace TorchStab;

public static partial class stab
{
    public static partial class nn
    {
        public static partial class functional
        {
            /// <summary>
            /// y = x, and on the way back ∂L/∂x = factor·∂L/∂y: what <c>x.register_hook(lambda g: g * factor)</c> does in PyTorch; TorchSharp has no hooks on
            /// tensors.
            /// </summary>
            /// <param name="x">Any shape; any floating-point dtype. A tensor that wants no gradient is copied.</param>
            /// <param name="factor">A finite number; 0 stops the gradient, a negative one turns it around (domain-adversarial training, Ganin and Lempitsky
            /// 2015).</param>
            /// <returns>A new tensor of the same shape, dtype and values, in memory of its own. Differentiable any number of times.</returns>
            /// <exception cref="ArgumentNullException"><paramref name="x"/> is null.</exception>
            /// <exception cref="ArgumentException"><paramref name="factor"/> is not finite.</exception>
            public static Tensor scale_gradient(Tensor x, double factor) => ScaleGradientNode.Apply(x, factor);

            /// <summary>
            /// y = x, and on the way back g = ∂L/∂y becomes ∂L/∂x = g·min(1, max_norm/‖g‖₂), the norm over the whole tensor: a bound inside the graph, where
            /// one branch would drown the others. As a hook with <c>clip_grad_norm_</c>'s rule in PyTorch.
            /// </summary>
            /// <param name="x">Any shape; any floating-point dtype. The norm of half types is taken in float32.</param>
            /// <param name="max_norm">At least 0.</param>
            /// <returns>A new tensor of the same shape, dtype and values, in memory of its own. Differentiable any number of times. A gradient that is not
            /// finite passes as it is.</returns>
            /// <exception cref="ArgumentNullException"><paramref name="x"/> is null.</exception>
            /// <exception cref="ArgumentException"><paramref name="max_norm"/> is negative or NaN.</exception>
            public static Tensor clip_gradient(Tensor x, double max_norm) => ClipGradientNode.Apply(x, max_norm);

            /// <summary>
            /// y = x, and on the way back ∂L/∂x = ∂L/∂y, of which the monitor keeps norm, largest magnitude and share of NaN
            /// (<see cref="GradientReport.Watched"/>). Of several that are not finite, <see cref="GradientMonitor.Judge"/> names the first on the way back:
            /// where inside a block a NaN began. PyTorch has <c>register_hook</c> for it.
            /// </summary>
            /// <param name="x">Any shape; any floating-point dtype.</param>
            /// <param name="name">What reports call it.</param>
            /// <param name="monitor">Looks at the steps that it samples; its <c>Observe</c> or <c>Step</c> collects what was seen.</param>
            /// <returns>A new tensor of the same shape, dtype and values, in memory of its own. Differentiable any number of times.</returns>
            /// <exception cref="ArgumentNullException">An argument is null.</exception>
            /// <exception cref="ArgumentException"><paramref name="name"/> is empty.</exception>
            public static Tensor watch_gradient(Tensor x, string name, GradientMonitor monitor) => WatchGradientNode.Apply(x, name, monitor);
        }
    }
}
