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
            /// Initializes a whole model. Linear layers and convolutions get He before the ReLU family, LeCun before SELU, and Xavier before sigmoid,
            /// tanh, softmax or no function. The function after a layer is stated by <see cref="InitializationOptions.Rules"/>, found by a run on
            /// <see cref="InitializationOptions.Example"/>, or read from the order of modules, which is certain in a Sequential and a guess in a module
            /// with its own forward. Biases become 0, norms 1 and 0, and embeddings normal; recurrent matrices become orthogonal gate by gate, with a
            /// forget bias of 1; attention gets Xavier. Parameters keep their identity and flags. A shared parameter is filled once, with a scale that
            /// suits both uses. Frozen parameters, and parameters of unknown layers, are not changed; the report lists them.
            /// </summary>
            /// <param name="model">Any module, with layers of torch.nn and of TorchStab; on the meta device nothing is written.</param>
            /// <param name="options">
            /// Rules, an example input, distributions, residual blocks; null (the default): the defaults of <see cref="InitializationOptions"/>.
            /// </param>
            /// <param name="generator">The random generator, used layer by layer in the order of registration; null (the default): the global one.</param>
            /// <returns>How every parameter was initialized, and which functions were guessed; <c>ToString()</c> returns a table.</returns>
            /// <exception cref="ArgumentException">
            /// An option out of range, an example that is empty or does not fit the model's signature, or both an example and a run.
            /// </exception>
            /// <remarks>
            /// Sources: He et al. 2015, LeCun et al. 1998, Glorot and Bengio 2010, Saxe et al. 2013, Jozefowicz et al. 2015, each for the scheme of its
            /// name.
            /// </remarks>
            public static InitializationReport initialize_(TorchSharp.torch.nn.Module model, InitializationOptions? options = null,
                Generator? generator = null) =>
                ModelInitializer.Run(model, options, generator);

            /// <summary>
            /// Layer-sequential unit variance: every linear layer and convolution first gets an orthogonal weight and a bias of 0. Then, in the order in
            /// which the batch reaches the layers, each weight is divided by the standard deviation of the layer's output until that output's variance is
            /// within <paramref name="tol"/> of 1: W ← W/√Var(y). Frozen weights do not change, but their outputs are measured. It takes one forward pass
            /// in evaluation mode; afterwards every module has its old mode, and the hooks are removed.
            /// </summary>
            /// <param name="model">
            /// A module that takes a tensor and returns one. Custom modules must run their layers by <c>call</c>: <c>forward</c> runs no hooks.
            /// </param>
            /// <param name="batch">Inputs as in training, at least a few dozen: (N, …), of the model's dtype.</param>
            /// <param name="tol">The largest accepted difference of a variance from 1. Default: 0.01.</param>
            /// <param name="max_iterations">The largest number of times that a weight is rescaled. Default: 10.</param>
            /// <param name="generator">The random generator; null (the default): the global one.</param>
            /// <returns>The variances before and after, and the layers that were not reached; <c>ToString()</c> returns a table.</returns>
            /// <exception cref="ArgumentException">An empty batch, a model of another signature, a number out of range.</exception>
            /// <remarks>Source: Mishkin and Matas 2015, “All you need is a good init”.</remarks>
            public static LsuvReport lsuv_(TorchSharp.torch.nn.Module model, Tensor batch, double tol = 0.01, int max_iterations = 10,
                Generator? generator = null) =>
                Lsuv.Run(model, batch, tol, max_iterations, generator);

            /// <summary>
            /// For a model of any signature.
            /// <inheritdoc cref="lsuv_(TorchSharp.torch.nn.Module, Tensor, double, int, Generator?)" path="/summary/node()"/>
            /// </summary>
            /// <param name="model">Any module.</param>
            /// <param name="run">Runs the model once on a batch, by <c>call</c>.</param>
            /// <param name="tol">The largest accepted difference of a variance from 1. Default: 0.01.</param>
            /// <param name="max_iterations">The largest number of times that a weight is rescaled. Default: 10.</param>
            /// <param name="generator">The random generator; null (the default): the global one.</param>
            /// <inheritdoc cref="lsuv_(TorchSharp.torch.nn.Module, Tensor, double, int, Generator?)"/>
            public static LsuvReport lsuv_(TorchSharp.torch.nn.Module model, Action run, double tol = 0.01, int max_iterations = 10,
                Generator? generator = null) =>
                Lsuv.Run(model, run, tol, max_iterations, generator);
        }
    }
}
