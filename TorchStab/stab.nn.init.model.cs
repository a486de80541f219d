using TorchStab.Initialization;
using static TorchSharp.torch;

namespace TorchStab;

public static partial class stab
{
    public static partial class nn
    {
        public static partial class init
        {
            /// <summary>
            /// Initializes a whole model. Linear layers and convolutions take He before the ReLU family, LeCun before SELU, Xavier before
            /// sigmoid, tanh, softmax or nothing. Which function follows is told by <see cref="InitializationOptions.Rules"/>, shown by a run on
            /// <see cref="InitializationOptions.Example"/>, or read from the order of modules: in Sequentials for certain, in modules with a forward of their own as a
            /// guess. Biases become 0, norms 1 and 0, embeddings normal; recurrent matrices orthogonal gate by gate with a forget bias of 1; attention
            /// Xavier. Parameters keep identity and flags; one that is shared is filled once, by a scale that serves both uses. Frozen parameters, and whatever else
            /// holds parameters, are left alone and listed.
            /// </summary>
            /// <param name="model">Any module, with layers of torch.nn and of TorchStab; on the meta device nothing is written.</param>
            /// <param name="options">Rules, an example input, distributions, residual blocks; null (the default): as <see cref="InitializationOptions"/> starts.</param>
            /// <param name="generator">Where to draw from, layer by layer in order of registration; null (the default): the global stream.</param>
            /// <returns>What was done to every parameter, what was guessed and how to tell it otherwise; prints as a table.</returns>
            /// <exception cref="ArgumentException">An option out of range, an example that is empty or does not fit the model's signature, or both an example and a run.</exception>
            /// <remarks>Sources: He et al. 2015, LeCun et al. 1998, Glorot and Bengio 2010, Saxe et al. 2013, Jozefowicz et al. 2015, each scheme as the function of its name.</remarks>
            public static InitializationReport initialize_(TorchSharp.torch.nn.Module model, InitializationOptions? options = null, Generator? generator = null) =>
                ModelInitializer.Run(model, options, generator);

            /// <summary>
            /// Layer-sequential unit variance: every linear layer and convolution starts orthogonal with biases 0; then, in the order in
            /// which the batch reaches them, each weight is divided by the standard deviation of the layer's output until that output's
            /// variance is within <paramref name="tol"/> of 1: W ← W/√Var(y). Frozen weights stay as they are, and are measured. One forward pass in evaluation mode; the modes come back, no hook stays.
            /// </summary>
            /// <param name="model">
            /// A module that takes a tensor and returns one. Custom modules must run their layers by <c>call</c>: <c>forward</c> fires no hook.
            /// </param>
            /// <param name="batch">Inputs as in training, some dozens at least: (N, …), of the model's dtype.</param>
            /// <param name="tol">How far from 1 a variance may stay. Default: 0.01.</param>
            /// <param name="max_iterations">How often a weight may be rescaled. Default: 10.</param>
            /// <param name="generator">Where to draw from; null (the default): the global stream.</param>
            /// <returns>Variances before and after, and the layers that were not reached; prints as a table.</returns>
            /// <exception cref="ArgumentException">An empty batch, a model of another signature, a number out of range.</exception>
            /// <remarks>Source: Mishkin and Matas 2015, “All you need is a good init”.</remarks>
            public static LsuvReport lsuv_(TorchSharp.torch.nn.Module model, Tensor batch, double tol = 0.01, int max_iterations = 10,
                Generator? generator = null) =>
                Lsuv.Run(model, batch, tol, max_iterations, generator);

            /// <summary>The same for a model of any signature. <inheritdoc cref="lsuv_(TorchSharp.torch.nn.Module, Tensor, double, int, Generator?)" path="/summary/node()"/></summary>
            /// <param name="model">Any module.</param>
            /// <param name="run">Runs the model once on a batch, by <c>call</c>.</param>
            /// <param name="tol">How far from 1 a variance may stay. Default: 0.01.</param>
            /// <param name="max_iterations">How often a weight may be rescaled. Default: 10.</param>
            /// <param name="generator">Where to draw from; null (the default): the global stream.</param>
            /// <inheritdoc cref="lsuv_(TorchSharp.torch.nn.Module, Tensor, double, int, Generator?)"/>
            public static LsuvReport lsuv_(TorchSharp.torch.nn.Module model, Action run, double tol = 0.01, int max_iterations = 10,
                Generator? generator = null) =>
                Lsuv.Run(model, run, tol, max_iterations, generator);
        }
    }
}
