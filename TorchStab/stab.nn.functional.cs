using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab;

public static partial class stab
{
    public static partial class nn
    {
        /// <summary>Functions with the names and defaults of <c>torch.nn.functional</c>.</summary>
        public static partial class functional
        {
            /// <summary>
            /// Batch normalization: y = (x − mean)/√(var + eps)·weight + bias for each channel (dimension 1), as <c>torch.nn.functional.batch_norm</c>.
            /// </summary>
            /// <param name="input">(N, C, …); float64, float32, float16 or bfloat16.</param>
            /// <param name="running_mean">(C); normalizes if not training, is updated in place if training.</param>
            /// <param name="running_var">(C); the same for the unbiased variance. Give both or neither.</param>
            /// <param name="weight">(C), or null (the default) for 1.</param>
            /// <param name="bias">(C), or null (the default) for 0.</param>
            /// <param name="training">Whether to normalize by the mean and biased variance of the batch; default false.</param>
            /// <param name="momentum">running ← (1 − momentum)·running + momentum·batch; default 0.1.</param>
            /// <param name="eps">Added to the variance; default 1e-5.</param>
            /// <returns>The shape, dtype and memory format of input; always a new tensor.</returns>
            /// <exception cref="ArgumentException">
            /// A shape or dtype does not fit, statistics are missing and training is false, or training is true and a channel has only one value. Raised
            /// with PyTorch's message before anything is written.
            /// </exception>
            public static Tensor batch_norm(Tensor input, Tensor? running_mean, Tensor? running_var, Tensor? weight = null, Tensor? bias = null,
                bool training = false, double momentum = 0.1, double eps = 1e-5) =>
                BatchNormFunctional.Apply(new(input, new(running_mean, running_var, Momentum: momentum), weight, bias, eps, training));

            /// <summary>
            /// Instance normalization: y = (x − mean)/√(var + eps)·weight + bias with the statistics of each channel of each sample, as
            /// <c>torch.nn.functional.instance_norm</c>.
            /// </summary>
            /// <param name="input">(N, C, …); float64, float32, float16 or bfloat16.</param>
            /// <param name="running_mean">(C), or null (the default); normalizes without use_input_stats, is updated in place with it.</param>
            /// <param name="running_var">(C), or null (the default); the same for the unbiased variance. Give both or neither.</param>
            /// <param name="weight">(C), or null (the default) for 1.</param>
            /// <param name="bias">(C), or null (the default) for 0.</param>
            /// <param name="use_input_stats">Whether to normalize by the statistics of the input; default true.</param>
            /// <param name="momentum">running ← (1 − momentum)·running + momentum·(mean over the batch of the input's statistics); default 0.1.</param>
            /// <param name="eps">Added to the variance; default 1e-5.</param>
            /// <returns>The shape and dtype of input, contiguous; always a new tensor.</returns>
            /// <exception cref="ArgumentException">
            /// A shape or dtype does not fit, statistics are missing and use_input_stats is false, or it is true and a channel has only one position.
            /// Raised with PyTorch's message before anything is written.
            /// </exception>
            public static Tensor instance_norm(Tensor input, Tensor? running_mean = null, Tensor? running_var = null, Tensor? weight = null,
                Tensor? bias = null, bool use_input_stats = true, double momentum = 0.1, double eps = 1e-5) =>
                InstanceNormFunctional.Apply(new(input, new(running_mean, running_var, Momentum: momentum), weight, bias, eps, use_input_stats));
        }
    }
}
