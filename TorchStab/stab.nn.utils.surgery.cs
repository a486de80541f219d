using TorchSharp.Modules;
using TorchStab.Surgery;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab;

public static partial class stab
{
    public static partial class nn
    {
        /// <summary>Clipping of gradients, as in <c>torch.nn.utils</c>, and changes of existing models (exchanging, freezing and folding norms).</summary>
        public static partial class utils
        {
            /// <summary>
            /// Returns a convolution that computes what <paramref name="conv"/> followed by <paramref name="bn"/> computes in eval mode: W' = W·γ/√(σ² +
            /// ε) for each output channel, b' = (b − μ)·γ/√(σ² + ε) + β, with the running statistics μ and σ².
            /// </summary>
            /// <typeparam name="T">One of torch.nn's convolutions: 1, 2 or 3 dimensions, plain or transposed, any groups, dilation and padding.</typeparam>
            /// <param name="conv">The convolution, in eval mode. Does not change.</param>
            /// <param name="bn">The BatchNorm of TorchStab or TorchSharp after it, in eval mode, affine or not. Does not change.</param>
            /// <returns>
            /// A new module of the same kind in eval mode, with a bias. Its parameters are leaves, and require a gradient if those of
            /// <paramref name="conv"/> do (a new bias if the weight does).
            /// </returns>
            /// <exception cref="InvalidOperationException">One of them is in training mode ("Fusion only for eval!"), or disposed.</exception>
            /// <exception cref="ArgumentException">
            /// Not a convolution, not a BatchNorm, no running statistics, another number of channels, or a BatchNorm for another number of dimensions.
            /// </exception>
            /// <remarks>Source: <c>torch.nn.utils.fusion.fuse_conv_bn_eval</c>, which does not support grouped transposed convolutions.</remarks>
            public static T fuse_conv_bn_eval<T>(T conv, Module<Tensor, Tensor> bn) where T : Module<Tensor, Tensor> =>
                PairFolding.Convolution(conv, bn);

            /// <summary>
            /// Returns a linear layer that computes what <paramref name="linear"/> followed by <paramref name="bn"/> computes in eval mode, for input (N,
            /// in): W' = W·γ/√(σ² + ε) for each output feature, b' = (b − μ)·γ/√(σ² + ε) + β.
            /// </summary>
            /// <param name="linear">The linear layer, in eval mode. Does not change.</param>
            /// <param name="bn">
            /// The BatchNorm1d of TorchStab or TorchSharp after it, of <c>out_features</c> channels or of 1, in eval mode. Does not change. A BatchNorm1d
            /// also accepts (N, C, L) and normalizes along C, but a linear layer has its features in L: for such inputs there is no folded layer.
            /// </param>
            /// <returns>
            /// A new linear layer in eval mode, with a bias. Its parameters are leaves, and require a gradient if those of <paramref name="linear"/> do.
            /// </returns>
            /// <exception cref="InvalidOperationException">One of them is in training mode ("Fusion only for eval!"), or disposed.</exception>
            /// <exception cref="ArgumentException">Not a BatchNorm, no running statistics, another number of channels, or a BatchNorm2d or 3d.</exception>
            /// <remarks>
            /// Source: <c>torch.nn.utils.fusion.fuse_linear_bn_eval</c>, which also accepts a BatchNorm2d and then gives wrong numbers.
            /// </remarks>
            public static Linear fuse_linear_bn_eval(Linear linear, Module<Tensor, Tensor> bn) => PairFolding.Linear(linear, bn);

            /// <summary>
            /// Folds every BatchNorm of either library that certainly follows a convolution or linear layer into that layer, in place, for inference. The
            /// layer gets new parameters (leaves that require a gradient), an Identity replaces the norm (a ReLU replaces a BatchNormReLU), and the norm
            /// is disposed. Optimizers need <c>rebind(model)</c> afterwards.
            /// </summary>
            /// <param name="model">The model, in eval mode.</param>
            /// <param name="example">
            /// An input of the model, of its shape and dtype, or null (the default). In a Sequential the order of layers is known. In other modules it is
            /// in the code of forward, and an experiment finds it, on float64 copies of the parameters: the model runs on the example with one layer's
            /// channels scaled (without an example, each module runs on noise). A norm follows that layer if scaling its statistics in the same way undoes
            /// the change. forward must not have side effects. A BatchNorm1d accepts (N, C) and (N, C, L); its channels are those of a Linear for the
            /// first, and those of a Conv1d for the second (a Conv1d also accepts an input without a batch). It is folded, also in a Sequential, if the
            /// example shows which layer fits; without an example only after a Linear whose module refuses (N, C, L) (because of a Flatten, or layers of
            /// other widths). Later inputs must have the example's rank.
            /// </param>
            /// <returns><paramref name="model"/>.</returns>
            /// <exception cref="InvalidOperationException">
            /// The model is in training mode ("Fusion only for eval!"); or as for <see cref="swap_norms_"/>.
            /// </exception>
            /// <exception cref="ArgumentException">
            /// <paramref name="model"/> is itself a norm, can't run on one tensor, or refuses <paramref name="example"/>.
            /// </exception>
            public static T fuse_norms<T>(T model, Tensor? example = null) where T : Module => ModelFolding.Fold(model, out _, example);

            /// <inheritdoc cref="fuse_norms{T}(T, Tensor?)"/>
            /// <param name="model">The model, in eval mode.</param>
            /// <param name="report">Receives which norms were folded into which layers, and why others were not.</param>
            /// <param name="example">An input of the model, of its shape and dtype, or null (the default).</param>
            public static T fuse_norms<T>(T model, out SurgeryReport report, Tensor? example = null) where T : Module =>
                ModelFolding.Fold(model, out report, example);

            /// <summary>
            /// Exchanges every BatchNorm, LayerNorm, GroupNorm and InstanceNorm of TorchSharp in <paramref name="model"/> for TorchStab's, in place. The
            /// new norms have the same Parameter and buffer objects (so an existing optimizer stays valid), mode, settings and hooks, and so the same
            /// state dict and the same numbers. Only a <c>torch.nn.GroupNorm</c> may have weights that were never initialized: see
            /// <see cref="SwapOptions.GroupNorm"/>.
            /// </summary>
            /// <param name="model">
            /// Any model: norms may be in Sequential, ModuleList, ModuleDict, in fields and properties of custom modules, and in their lists, arrays and
            /// tuples, at any depth. A module that is held in several places is exchanged once and stays shared.
            /// </param>
            /// <param name="options">Further changes; null (the default): none.</param>
            /// <returns>
            /// The norms that were exchanged, and those that were not. A norm is not exchanged in any place if one place can only hold TorchSharp's sealed
            /// class; the report then names the line to change. Nor is a norm that the code of forward or of a property casts to its class, one that is
            /// not registered, or one inside libtorch's own layers (nn.TransformerEncoder). Norms that were not exchanged for the same reason are one
            /// entry. References outside the model (local variables) keep the old object, which shares all tensors with the new one.
            /// </returns>
            /// <exception cref="ArgumentException"><paramref name="model"/> is itself a norm.</exception>
            /// <exception cref="InvalidOperationException">
            /// A module is disposed or a script module, two children have one name, or <see cref="SwapOptions.RequireAll"/> is not met. The model is then
            /// unchanged.
            /// </exception>
            /// <exception cref="NotSupportedException">
            /// The program is compiled ahead of time: changes of whole models need reflection. Everything else in TorchStab works there, fuse_conv_bn_eval
            /// too.
            /// </exception>
            public static SurgeryReport swap_norms_(Module model, SwapOptions? options = null) => NormSwap.Swap(model, options);

            /// <summary>
            /// Undoes <see cref="swap_norms_"/> with all of its options: puts back the original module objects, with the tensors, mode, settings and hooks
            /// that their replacements have now.
            /// </summary>
            /// <param name="model">The model, or a part of it.</param>
            /// <returns>The modules that were put back.</returns>
            /// <exception cref="ArgumentNullException"><paramref name="model"/> is null.</exception>
            /// <exception cref="InvalidOperationException">As for <see cref="swap_norms_"/>.</exception>
            public static SurgeryReport restore_norms_(Module model) => NormSwap.Restore(model);

            /// <summary>
            /// Freezes every norm of either library, in place: scale and shift do not train (their gradients are cleared), and running statistics
            /// normalize in training too and do not change, even after <c>model.train()</c>. TorchSharp's norms with running statistics are exchanged for
            /// TorchStab's, which support this.
            /// </summary>
            /// <param name="model">The model.</param>
            /// <param name="filter">Returns true for a norm to freeze, given its name as in <c>named_modules()</c>; null (the default): all norms.</param>
            /// <returns>The norms that were frozen, and those that could not be, with the line to change.</returns>
            /// <exception cref="ArgumentException"><paramref name="model"/> is itself a norm of TorchSharp.</exception>
            /// <exception cref="InvalidOperationException">As for <see cref="swap_norms_"/>.</exception>
            public static SurgeryReport freeze_norms_(Module model, Func<string, bool>? filter = null) => NormFreezing.FreezeAll(model, filter);

            /// <summary>
            /// Undoes <see cref="freeze_norms_"/>: parameters that required a gradient do so again, and the norms get the mode that <c>train()</c> or
            /// <c>eval()</c> set last. TorchStab's norms stay; <see cref="restore_norms_"/> puts TorchSharp's back.
            /// </summary>
            /// <param name="model">The model.</param>
            /// <returns>The norms that are no longer frozen.</returns>
            /// <exception cref="ArgumentNullException"><paramref name="model"/> is null.</exception>
            /// <exception cref="InvalidOperationException">As for <see cref="swap_norms_"/>.</exception>
            public static SurgeryReport unfreeze_norms_(Module model) => NormFreezing.UnfreezeAll(model);

            /// <summary>
            /// Computes the running statistics of every BatchNorm over a whole data set. Afterwards running_mean = mean and running_var = Σ(x − mean)²/(n
            /// − 1), the mean and the unbiased variance of the layer's input in eval mode, over all n values of the data set.
            /// </summary>
            /// <param name="model">The model; each module keeps its mode. Frozen norms do not change.</param>
            /// <param name="loader">
            /// The data in batches of any sizes. They are read once for every BatchNorm, because each layer is measured after the layers before it have
            /// their final statistics. So the result does not depend on the split into batches or on their order, as long as the loader returns the same
            /// values each time (without random augmentation).
            /// </param>
            /// <returns>The names of the layers, in the order of their first call. A layer that is not called keeps its statistics.</returns>
            /// <exception cref="ArgumentException">
            /// An argument is null, <paramref name="model"/> is itself a norm of TorchSharp, or the model refuses a batch.
            /// </exception>
            /// <exception cref="InvalidOperationException">
            /// The loader returns no batches, or returns them only once; a layer gets one value per channel, or values that are not finite; no statistics
            /// fit a layer that gets its own output; or as for <see cref="swap_norms_"/>. No statistics are changed then.
            /// </exception>
            /// <remarks>
            /// <c>num_batches_tracked</c> becomes the number of calls. All inputs of a layer that is called several times per batch count. If they depend
            /// on the layer's own statistics, the data are read until the measured statistics equal the written ones (some ten to a hundred times).
            /// PyTorch's <c>torch.optim.swa_utils.update_bn</c> averages over batches in training mode instead, so that its result depends on the split:
            /// Wu and Johnson 2021, “Rethinking 'Batch' in BatchNorm”, §3.
            /// </remarks>
            public static IReadOnlyList<string> update_bn(Module<Tensor, Tensor> model, IEnumerable<Tensor> loader) =>
                BatchNormUpdate<Tensor>.Run(model, loader, batch => model.call(batch));

            /// <summary>
            /// For pairs of input and target; the targets are not used.
            /// <inheritdoc cref="update_bn(Module{Tensor, Tensor}, IEnumerable{Tensor})" path="/summary/node()"/>
            /// </summary>
            /// <inheritdoc cref="update_bn(Module{Tensor, Tensor}, IEnumerable{Tensor})"/>
            public static IReadOnlyList<string> update_bn(Module<Tensor, Tensor> model, IEnumerable<(Tensor input, Tensor target)> loader) =>
                BatchNormUpdate<(Tensor input, Tensor target)>.Run(model, loader, batch => model.call(batch.input));

            /// <summary>
            /// For any kind of model and batch. <inheritdoc cref="update_bn(Module{Tensor, Tensor}, IEnumerable{Tensor})" path="/summary/node()"/>
            /// </summary>
            /// <param name="model">The model; each module keeps its mode. Frozen norms do not change.</param>
            /// <param name="loader">The data in batches, read once for every BatchNorm.</param>
            /// <param name="forward">Runs the model on a batch; the tensors that it makes are disposed.</param>
            /// <inheritdoc cref="update_bn(Module{Tensor, Tensor}, IEnumerable{Tensor})"/>
            public static IReadOnlyList<string> update_bn<TBatch>(Module model, IEnumerable<TBatch> loader, Action<TBatch> forward) =>
                BatchNormUpdate<TBatch>.Run(model, loader, forward);
        }
    }
}
