using TorchStab.Surgery;
using static TorchSharp.torch.nn;

namespace TorchStab;

public static partial class stab
{
    public static partial class nn
    {
        public static partial class utils
        {
            /// <summary>
            /// Exchanges every BatchNorm of TorchSharp and of TorchStab in <paramref name="model"/> for a <see cref="Modules.SyncBatchNorm"/>, in place:
            /// same Parameter and buffer objects, mode and hooks. As <c>torch.nn.SyncBatchNorm.convert_sync_batchnorm</c>.
            /// </summary>
            /// <param name="model">Any model, as for <see cref="swap_norms_"/>.</param>
            /// <param name="process_group">The ranks that share statistics; null (the default): all ranks of <c>init_process_group</c>.</param>
            /// <returns>The BatchNorms that were exchanged.</returns>
            /// <exception cref="ArgumentException"><paramref name="model"/> is itself a BatchNorm.</exception>
            /// <exception cref="InvalidOperationException">
            /// A BatchNorm cannot be exchanged: a place can only hold its sealed class, or it is a BatchNormReLU or BatchRenorm. The message lists them
            /// with the lines to change. The model is unchanged, because one such layer would train on this rank's batches only.
            /// </exception>
            public static SurgeryReport convert_sync_batchnorm_(Module model, ICollective? process_group = null) =>
                SyncBatchNormConversion.Convert(model, process_group);
        }
    }
}
