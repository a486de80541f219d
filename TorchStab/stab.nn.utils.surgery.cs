using TorchSharp.Modules;
using TorchStab.Surgery;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab;

public static partial class stab
{
    public static partial class nn
    {
        /// <summary>What PyTorch has in <c>torch.nn.utils</c>: clipping of gradients, and surgery on models that exist.</summary>
        public static partial class utils
        {
            /// <summary>
            /// A convolution that does what <paramref name="conv"/> followed by <paramref name="bn"/> in eval mode does:
            /// W' = W·γ/√(σ² + ε) for each output channel, b' = (b − μ)·γ/√(σ² + ε) + β, with the running statistics μ and σ².
            /// </summary>
            /// <typeparam name="T">One of torch.nn's convolutions: 1, 2 or 3 dimensions, plain or transposed, any groups, dilation and padding.</typeparam>
            /// <param name="conv">The convolution, in eval mode. Stays as it is.</param>
            /// <param name="bn">TorchStab's or TorchSharp's BatchNorm after it, in eval mode, affine or not. Stays as it is.</param>
            /// <returns>
            /// A new module of the same kind in eval mode, with a bias. Its parameters are leaves and train where those of
            /// <paramref name="conv"/> did (the bias follows the weight where there was none).
            /// </returns>
            /// <exception cref="InvalidOperationException">One of both is in training mode ("Fusion only for eval!"), or disposed.</exception>
            /// <exception cref="ArgumentException">
            /// Not a convolution, not a BatchNorm, no running statistics, another number of channels, or a BatchNorm for another number of dimensions.
            /// </exception>
            /// <remarks>Source: <c>torch.nn.utils.fusion.fuse_conv_bn_eval</c>, which has no grouped transposed convolutions.</remarks>
            public static T fuse_conv_bn_eval<T>(T conv, Module<Tensor, Tensor> bn) where T : Module<Tensor, Tensor> =>
                Folding.Convolution(conv, bn);

            /// <summary>
            /// A linear layer that does what <paramref name="linear"/> followed by <paramref name="bn"/> in eval mode does, for input (N, in):
            /// W' = W·γ/√(σ² + ε) for each output feature, b' = (b − μ)·γ/√(σ² + ε) + β.
            /// </summary>
            /// <param name="linear">The linear layer, in eval mode. Stays as it is.</param>
            /// <param name="bn">
            /// TorchStab's or TorchSharp's BatchNorm1d of <c>out_features</c> channels, or of 1, in eval mode. Stays as it is. It takes (N, C, L) too, and normalizes
            /// along C, where the linear layer has its features in L: such an input has no folded layer.
            /// </param>
            /// <returns>A new linear layer in eval mode, with a bias; its parameters are leaves and train where those of <paramref name="linear"/> did.</returns>
            /// <exception cref="InvalidOperationException">One of both is in training mode ("Fusion only for eval!"), or disposed.</exception>
            /// <exception cref="ArgumentException">Not a BatchNorm, no running statistics, another number of channels, or a BatchNorm2d or 3d.</exception>
            /// <remarks>
            /// Source: <c>torch.nn.utils.fusion.fuse_linear_bn_eval</c>, which takes a BatchNorm2d too and gives wrong numbers.
            /// </remarks>
            public static Linear fuse_linear_bn_eval(Linear linear, Module<Tensor, Tensor> bn) => Folding.Linear(linear, bn);

            /// <summary>
            /// Folds every BatchNorm of either library that certainly follows a convolution or linear layer into that layer, in place, for
            /// inference: the layer gets new parameters (leaves that train), the norm's place an Identity (a ReLU where it was a
            /// BatchNormReLU), the norm is disposed. Optimizers need <c>rebind(model)</c>.
            /// </summary>
            /// <param name="model">The model, in eval mode.</param>
            /// <param name="example">
            /// An input of the model, of its shape and dtype, or null (the default). In a Sequential the order is known. In other modules it stands in the code of forward, so it
            /// is shown by experiment, on float64 copies of the parameters: the model runs on the example (each module of its own on noise, without one) with a layer's channels
            /// scaled, and a norm follows that layer if scaling its statistics undoes the change. forward must not have side effects. A BatchNorm1d takes
            /// (N, C) and (N, C, L), and its channels are those of a Linear in the first and those of a Conv1d in the second (a Conv1d also takes an input
            /// without a batch): it is folded, in a Sequential too, if the example shows the right one; without an example after a Linear whose module
            /// refuses the other one (a Flatten, or layers of other widths). Later inputs must be of the example's rank.
            /// </param>
            /// <returns><paramref name="model"/>.</returns>
            /// <exception cref="InvalidOperationException">The model is in training mode ("Fusion only for eval!"); or as for <see cref="swap_norms_"/>.</exception>
            /// <exception cref="ArgumentException"><paramref name="model"/> is itself a norm, can't run on one tensor, or refuses <paramref name="example"/>.</exception>
            public static T fuse_norms<T>(T model, Tensor? example = null) where T : Module => NormFolding.Fold(model, out _, example);

            /// <inheritdoc cref="fuse_norms{T}(T, Tensor?)"/>
            /// <param name="model">The model, in eval mode.</param>
            /// <param name="report">Which norms were folded into which layer, and which were not, and why.</param>
            /// <param name="example">An input of the model, of its shape and dtype, or null (the default).</param>
            public static T fuse_norms<T>(T model, out SurgeryReport report, Tensor? example = null) where T : Module =>
                NormFolding.Fold(model, out report, example);

            /// <summary>
            /// Exchanges every BatchNorm, LayerNorm, GroupNorm and InstanceNorm of TorchSharp in <paramref name="model"/> for TorchStab's, in
            /// place: same Parameter and buffer objects (an optimizer built before stays valid), mode, settings and hooks, so the same state
            /// dict and the same numbers. Only a <c>torch.nn.GroupNorm</c> may have weights that nobody wrote, see <see cref="SwapOptions.GroupNorm"/>.
            /// </summary>
            /// <param name="model">
            /// Any model: norms in Sequential, ModuleList, ModuleDict, in fields and properties of custom modules, in their lists, arrays and
            /// tuples, at any depth. A module that stands in several places is exchanged once and stays shared.
            /// </param>
            /// <param name="options">What else to do; null (the default): nothing.</param>
            /// <returns>
            /// What was exchanged, and what was not: a norm of which one place can hold TorchSharp's sealed class only stays in all of its
            /// places and is listed with the line to change; so is one that the code of forward or of a property casts to its class, one that is not registered, and
            /// those inside libtorch's own layers (nn.TransformerEncoder). Norms that stay for one reason are one entry. References outside the model (local variables) keep the old object, which
            /// shares all tensors with the new one.
            /// </returns>
            /// <exception cref="ArgumentException"><paramref name="model"/> is itself a norm.</exception>
            /// <exception cref="InvalidOperationException">
            /// A module is disposed or a script module, two children have one name, or <see cref="SwapOptions.RequireAll"/> is not met. The
            /// model is then unchanged.
            /// </exception>
            /// <exception cref="NotSupportedException">
            /// The program is compiled ahead of time: surgery on whole models takes reflection. Everything else in TorchStab works there, fuse_conv_bn_eval too.
            /// </exception>
            public static SurgeryReport swap_norms_(Module model, SwapOptions? options = null) => NormSwap.Swap(model, options);

            /// <summary>
            /// Undoes <see cref="swap_norms_"/> with all of its options: the same module objects as before, with the tensors, mode, settings
            /// and hooks that their replacements have now.
            /// </summary>
            /// <param name="model">The model, or a part of it.</param>
            /// <returns>What was put back.</returns>
            /// <exception cref="ArgumentNullException"><paramref name="model"/> is null.</exception>
            /// <exception cref="InvalidOperationException">As for <see cref="swap_norms_"/>.</exception>
            public static SurgeryReport restore_norms_(Module model) => NormSwap.Restore(model);

            /// <summary>
            /// Freezes every norm of either library, in place: scale and shift stop training (their gradients are cleared), and running
            /// statistics normalize in training too and no longer change, whatever <c>model.train()</c> says. TorchSharp's norms with running
            /// statistics are exchanged for TorchStab's, which can do that.
            /// </summary>
            /// <param name="model">The model.</param>
            /// <param name="filter">Which norms, by path as in <c>named_modules()</c>; null (the default): all.</param>
            /// <returns>What was frozen, and what could not be, with the line to change.</returns>
            /// <exception cref="ArgumentException"><paramref name="model"/> is itself a norm of TorchSharp.</exception>
            /// <exception cref="InvalidOperationException">As for <see cref="swap_norms_"/>.</exception>
            public static SurgeryReport freeze_norms_(Module model, Func<string, bool>? filter = null) => NormFreezing.FreezeAll(model, filter);

            /// <summary>
            /// Lets frozen norms train again: each parameter that did, and the mode that was last asked of the model. TorchStab's norms stay;
            /// <see cref="restore_norms_"/> puts TorchSharp's back.
            /// </summary>
            /// <param name="model">The model.</param>
            /// <returns>What was thawed.</returns>
            /// <exception cref="ArgumentNullException"><paramref name="model"/> is null.</exception>
            /// <exception cref="InvalidOperationException">As for <see cref="swap_norms_"/>.</exception>
            public static SurgeryReport unfreeze_norms_(Module model) => NormFreezing.UnfreezeAll(model);

            /// <summary>
            /// Re-estimates the running statistics of every BatchNorm over a whole data set: afterwards running_mean and running_var are
            /// exactly the mean and the unbiased variance Σ(x − mean)²/(n − 1), over all n values of the data set, of the input that the layer has in eval
            /// mode: running_mean = mean, running_var = variance.
            /// </summary>
            /// <param name="model">The model; each module keeps its mode. Frozen norms are left alone.</param>
            /// <param name="loader">
            /// The data in batches of any sizes, read once for every BatchNorm: each layer is measured after those before it have their
            /// final statistics. So neither the split into batches nor their order has any part in the result, as long as the loader gives
            /// the same values each time (no random augmentation).
            /// </param>
            /// <returns>The paths of the layers, in the order of their first call. A layer that is not called keeps its statistics.</returns>
            /// <exception cref="ArgumentException">Null, <paramref name="model"/> is itself a norm of TorchSharp, or the model refuses a batch.</exception>
            /// <exception cref="InvalidOperationException">
            /// No batches, or only once; a layer gets one value per channel, or values that are not finite; no statistics fit a layer that gets its own output; or as for
            /// <see cref="swap_norms_"/>. All statistics are then as they were.
            /// </exception>
            /// <remarks>
            /// <c>num_batches_tracked</c> becomes the number of calls. A layer that is called several times per batch counts all of its
            /// inputs; where these depend on its own statistics, the data are read until what is measured is what is written (some ten to a hundred times more). PyTorch's <c>torch.optim.swa_utils.update_bn</c> averages over batches in training mode instead, which depends on the
            /// split: Wu and Johnson 2021, “Rethinking 'Batch' in BatchNorm”, §3.
            /// </remarks>
            public static IReadOnlyList<string> update_bn(Module<Tensor, Tensor> model, IEnumerable<Tensor> loader) =>
                BatchNormUpdate<Tensor>.Run(model, loader, batch => model.call(batch));

            /// <summary>The same for pairs of input and target; the targets are not used. <inheritdoc cref="update_bn(Module{Tensor, Tensor}, IEnumerable{Tensor})" path="/summary/node()"/></summary>
            /// <inheritdoc cref="update_bn(Module{Tensor, Tensor}, IEnumerable{Tensor})"/>
            public static IReadOnlyList<string> update_bn(Module<Tensor, Tensor> model, IEnumerable<(Tensor input, Tensor target)> loader) =>
                BatchNormUpdate<(Tensor input, Tensor target)>.Run(model, loader, batch => model.call(batch.input));

            /// <summary>The same for any kind of model and batch. <inheritdoc cref="update_bn(Module{Tensor, Tensor}, IEnumerable{Tensor})" path="/summary/node()"/></summary>
            /// <param name="model">The model; each module keeps its mode. Frozen norms are left alone.</param>
            /// <param name="loader">The data in batches, read once for every BatchNorm.</param>
            /// <param name="forward">Runs the model on a batch; what it makes is disposed.</param>
            /// <inheritdoc cref="update_bn(Module{Tensor, Tensor}, IEnumerable{Tensor})"/>
            public static IReadOnlyList<string> update_bn<TBatch>(Module model, IEnumerable<TBatch> loader, Action<TBatch> forward) =>
                BatchNormUpdate<TBatch>.Run(model, loader, forward);
        }
    }
}
