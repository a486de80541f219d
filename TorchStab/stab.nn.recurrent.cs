using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab;

public static partial class stab
{
    public static partial class nn
    {
        /// <inheritdoc cref="Modules.LayerNormLSTMCell"/>
        /// <param name="input_size">The number of features of the input.</param>
        /// <param name="hidden_size">The number of features of the state.</param>
        /// <param name="bias">
        /// Whether to learn one bias for the gates (at first 0, and 1 for the forget gate) beside those of the normalizations; default true.
        /// </param>
        /// <param name="eps">Added to the variances; default 1e-5.</param>
        /// <param name="orthogonal_recurrent">
        /// Whether the recurrent weights of each gate start orthogonal (true, the default), or from U(−1/√hidden_size, 1/√hidden_size) as PyTorch's.
        /// </param>
        /// <param name="unit_forget_bias">
        /// Whether the forget gate's bias starts at 1, so that the cell remembers before it has learnt to (true, the default), or at 0.
        /// </param>
        /// <param name="device">The device of the parameters; null (the default): the default device.</param>
        /// <param name="dtype">Floating-point dtype of the parameters; null (the default): the default dtype.</param>
        /// <returns>The module, in training mode: (input, (h, c)?) → (h', c').</returns>
        /// <exception cref="ArgumentException">A size is not positive, or the dtype is not floating-point.</exception>
        public static LayerNormLSTMCell LayerNormLSTMCell(long input_size, long hidden_size, bool bias = true, double eps = 1e-5,
            bool orthogonal_recurrent = true, bool unit_forget_bias = true, Device? device = null, ScalarType? dtype = null) =>
            new(input_size, hidden_size, bias, eps, orthogonal_recurrent, unit_forget_bias, device, dtype);

        /// <inheritdoc cref="Modules.LayerNormGRUCell"/>
        /// <param name="input_size">The number of features of the input.</param>
        /// <param name="hidden_size">The number of features of the state.</param>
        /// <param name="bias">Whether to learn one bias for the gates (at first 0) beside those of the normalizations; default true.</param>
        /// <param name="eps">Added to the variances; default 1e-5.</param>
        /// <param name="orthogonal_recurrent">
        /// Whether the recurrent weights of each gate start orthogonal (true, the default), or from U(−1/√hidden_size, 1/√hidden_size) as PyTorch's.
        /// </param>
        /// <param name="device">The device of the parameters; null (the default): the default device.</param>
        /// <param name="dtype">Floating-point dtype of the parameters; null (the default): the default dtype.</param>
        /// <returns>The module, in training mode: (input, h?) → h'.</returns>
        /// <exception cref="ArgumentException">A size is not positive, or the dtype is not floating-point.</exception>
        public static LayerNormGRUCell LayerNormGRUCell(long input_size, long hidden_size, bool bias = true, double eps = 1e-5,
            bool orthogonal_recurrent = true, Device? device = null, ScalarType? dtype = null) =>
            new(input_size, hidden_size, bias, eps, orthogonal_recurrent, device, dtype);

        /// <inheritdoc cref="Modules.LayerNormLSTM"/>
        /// <param name="input_size">The number of features of the input.</param>
        /// <param name="hidden_size">The number of features of the states and of the output.</param>
        /// <param name="num_layers">The number of layers; default 1.</param>
        /// <param name="batch_first">Whether input and output are (N, T, *) rather than (T, N, *); default false.</param>
        /// <param name="bias">Whether the cells have a bias beside those of their normalizations; default true.</param>
        /// <param name="dropout">
        /// The probability with which, in training, an output of a layer is zeroed before it becomes the next layer's input; default 0.
        /// </param>
        /// <param name="eps">Added to the variances; default 1e-5.</param>
        /// <param name="orthogonal_recurrent">
        /// Whether the recurrent weights of each gate start orthogonal (true, the default), or from U(−1/√hidden_size, 1/√hidden_size) as PyTorch's.
        /// </param>
        /// <param name="unit_forget_bias">Whether the forget gates' bias starts at 1 (true, the default) or at 0.</param>
        /// <param name="device">The device of the parameters; null (the default): the default device.</param>
        /// <param name="dtype">Floating-point dtype of the parameters; null (the default): the default dtype.</param>
        /// <returns>The module, in training mode: (input, (h0, c0)?) → (output, h_n, c_n).</returns>
        /// <exception cref="ArgumentException">A size is not positive, dropout is not within [0, 1], or the dtype is not floating-point.</exception>
        public static LayerNormLSTM LayerNormLSTM(long input_size, long hidden_size, long num_layers = 1, bool batch_first = false, bool bias = true,
            double dropout = 0, double eps = 1e-5, bool orthogonal_recurrent = true, bool unit_forget_bias = true, Device? device = null,
            ScalarType? dtype = null) =>
            new(input_size, hidden_size, num_layers, batch_first, bias, dropout, eps, orthogonal_recurrent, unit_forget_bias, device, dtype);

        /// <inheritdoc cref="Modules.LayerNormGRU"/>
        /// <param name="input_size">The number of features of the input.</param>
        /// <param name="hidden_size">The number of features of the states and of the output.</param>
        /// <param name="num_layers">The number of layers; default 1.</param>
        /// <param name="batch_first">Whether input and output are (N, T, *) rather than (T, N, *); default false.</param>
        /// <param name="bias">Whether the cells have a bias beside those of their normalizations; default true.</param>
        /// <param name="dropout">
        /// The probability with which, in training, an output of a layer is zeroed before it becomes the next layer's input; default 0.
        /// </param>
        /// <param name="eps">Added to the variances; default 1e-5.</param>
        /// <param name="orthogonal_recurrent">
        /// Whether the recurrent weights of each gate start orthogonal (true, the default), or from U(−1/√hidden_size, 1/√hidden_size) as PyTorch's.
        /// </param>
        /// <param name="device">The device of the parameters; null (the default): the default device.</param>
        /// <param name="dtype">Floating-point dtype of the parameters; null (the default): the default dtype.</param>
        /// <returns>The module, in training mode: (input, h0?) → (output, h_n).</returns>
        /// <exception cref="ArgumentException">A size is not positive, dropout is not within [0, 1], or the dtype is not floating-point.</exception>
        public static LayerNormGRU LayerNormGRU(long input_size, long hidden_size, long num_layers = 1, bool batch_first = false, bool bias = true,
            double dropout = 0, double eps = 1e-5, bool orthogonal_recurrent = true, Device? device = null, ScalarType? dtype = null) =>
            new(input_size, hidden_size, num_layers, batch_first, bias, dropout, eps, orthogonal_recurrent, device, dtype);
    }
}
