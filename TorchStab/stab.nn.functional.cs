using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab;

public static partial class stab
{
    public static partial class nn
    {
        /// <summary>Functions, by the names and defaults of <c>torch.nn.functional</c>.</summary>
        public static partial class functional
        {
            /// <summary>
            /// Batch normalization: y = (x − mean)/√(var + eps)·weight + bias for each channel (dimension 1), as
            /// <c>torch.nn.functional.batch_norm</c>.
            /// </summary>
            /// <param name="input">(N, C, …); float64, float32, float16 or bfloat16.</param>
            /// <param name="running_mean">(C); normalizes when not training, changed in place when training.</param>
            /// <param name="running_var">(C); likewise, the unbiased variance. Both or neither.</param>
            /// <param name="weight">(C), or null (the default) for 1.</param>
            /// <param name="bias">(C), or null (the default) for 0.</param>
            /// <param name="training">Whether the batch's own mean and biased variance normalize; default false.</param>
            /// <param name="momentum">running ← (1 − momentum)·running + momentum·batch; default 0.1.</param>
            /// <param name="eps">Added to the variance; default 1e-5.</param>
            /// <returns>The shape, dtype and memory format of input; always a new tensor.</returns>
            /// <exception cref="ArgumentException">A shape or dtype does not fit, statistics are missing when not training, or a channel
            /// holds one value only when training; in PyTorch's words, before anything is written.</exception>
            public static Tensor batch_norm(Tensor input, Tensor? running_mean, Tensor? running_var, Tensor? weight = null, Tensor? bias = null, bool training = false, double momentum = 0.1, double eps = 1e-5) =>
                BatchNormFunctional.Apply(new(input, new(running_mean, running_var, Momentum: momentum), weight, bias, eps, training));

            /// <summary>
            /// Instance normalization: y = (x − mean)/√(var + eps)·weight + bias with the statistics of each channel of each sample, as
            /// <c>torch.nn.functional.instance_norm</c>.
            /// </summary>
            /// <param name="input">(N, C, …); float64, float32, float16 or bfloat16.</param>
            /// <param name="running_mean">(C), or null (the default); normalizes without use_input_stats, changed in place with it.</param>
            /// <param name="running_var">(C), or null (the default); likewise, the unbiased variance. Both or neither.</param>
            /// <param name="weight">(C), or null (the default) for 1.</param>
            /// <param name="bias">(C), or null (the default) for 0.</param>
            /// <param name="use_input_stats">Whether the input's own statistics normalize; default true.</param>
            /// <param name="momentum">running ← (1 − momentum)·running + momentum·(mean over the batch of the input's statistics); default 0.1.</param>
            /// <param name="eps">Added to the variance; default 1e-5.</param>
            /// <returns>The shape and dtype of input, contiguous; always a new tensor.</returns>
            /// <exception cref="ArgumentException">A shape or dtype does not fit, statistics are missing without use_input_stats, or a channel
            /// has one position only with it; in PyTorch's words, before anything is written.</exception>
            public static Tensor instance_norm(Tensor input, Tensor? running_mean = null, Tensor? running_var = null, Tensor? weight = null, Tensor? bias = null, bool use_input_stats = true, double momentum = 0.1, double eps = 1e-5) =>
                InstanceNormFunctional.Apply(new(input, new(running_mean, running_var, Momentum: momentum), weight, bias, eps, use_input_stats));
        }
    }
}
