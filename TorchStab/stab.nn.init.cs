using TorchStab.Initialization;
using static TorchSharp.torch;

namespace TorchStab;

public static partial class stab
{
    public static partial class nn
    {
        /// <summary>
        /// The functions of PyTorch's <c>torch.nn.init</c>, and more. Every function writes into the given tensor, outside autograd, keeps its identity,
        /// its memory layout and its <c>requires_grad</c>, and returns it. Random functions draw from <c>generator</c>, or from the global generator that
        /// <c>torch.manual_seed</c> seeds, exactly as many numbers as PyTorch: a seed gives PyTorch's tensor.
        /// </summary>
        public static partial class init
        {
            /// <summary>
            /// Xavier (Glorot) initialization, uniform: U(−a, a) with a = gain·√(6/(fan_in + fan_out)), so that the standard deviation is gain·√(2/(fan_in
            /// + fan_out)). For layers before S-shaped functions or before none.
            /// </summary>
            /// <param name="tensor">A weight of two or more dimensions (out, in, …), of a floating-point dtype.</param>
            /// <param name="gain">See <see cref="calculate_gain"/>. Default: 1.</param>
            /// <param name="generator">The random generator; null (the default): the global one.</param>
            /// <returns><paramref name="tensor"/>, filled.</returns>
            /// <exception cref="ArgumentException">Fewer than two dimensions, both fans 0, or a dtype that is not floating.</exception>
            /// <remarks>Source: Glorot and Bengio 2010, “Understanding the difficulty of training deep feedforward neural networks”.</remarks>
            public static Tensor xavier_uniform_(Tensor tensor, double gain = 1.0, Generator? generator = null) =>
                Xavier.Uniform(tensor, gain, generator);

            /// <summary>
            /// Xavier (Glorot) initialization, normal: N(0, σ²) with σ = gain·√(2/(fan_in + fan_out)). (Lecture notes with σ = 2/(n_in + n_out) give the
            /// variance.)
            /// </summary>
            /// <inheritdoc cref="xavier_uniform_"/>
            public static Tensor xavier_normal_(Tensor tensor, double gain = 1.0, Generator? generator = null) =>
                Xavier.Normal(tensor, gain, generator);

            /// <summary>Another name of <see cref="xavier_uniform_"/>. <inheritdoc cref="xavier_uniform_" path="/summary/node()"/></summary>
            /// <inheritdoc cref="xavier_uniform_"/>
            public static Tensor glorot_uniform_(Tensor tensor, double gain = 1.0, Generator? generator = null) =>
                xavier_uniform_(tensor, gain, generator);

            /// <summary>
            /// Another name of <see cref="xavier_normal_"/>, plain normal as in PyTorch. <inheritdoc cref="xavier_normal_" path="/summary/node()"/>
            /// </summary>
            /// <inheritdoc cref="xavier_uniform_"/>
            public static Tensor glorot_normal_(Tensor tensor, double gain = 1.0, Generator? generator = null) =>
                xavier_normal_(tensor, gain, generator);

            /// <summary>
            /// He (Kaiming) initialization, uniform: U(−b, b) with b = gain·√(3/fan), so that the standard deviation is gain/√fan. For layers before the
            /// ReLU family. An empty tensor is returned unchanged.
            /// </summary>
            /// <param name="tensor">A weight of two or more dimensions (out, in, …), of a floating-point dtype.</param>
            /// <param name="a">The negative slope of the rectifier after the layer, for leaky ReLU only. Default: 0, plain ReLU.</param>
            /// <param name="mode">FanIn (the default) keeps the variance in the forward pass, FanOut in the backward pass.</param>
            /// <param name="nonlinearity">The function after the layer. Default: LeakyReLU, of slope <paramref name="a"/>.</param>
            /// <param name="generator">The random generator; null (the default): the global one.</param>
            /// <returns><paramref name="tensor"/>, filled.</returns>
            /// <exception cref="ArgumentException">Fewer than two dimensions, an unknown mode or function, or a dtype that is not floating.</exception>
            /// <remarks>Source: He et al. 2015, “Delving deep into rectifiers”.</remarks>
            public static Tensor kaiming_uniform_(Tensor tensor, double a = 0, FanMode mode = FanMode.FanIn,
                Nonlinearity nonlinearity = Nonlinearity.LeakyReLU, Generator? generator = null) =>
                Kaiming.Uniform(tensor, a, mode, nonlinearity, generator);

            /// <summary>
            /// He (Kaiming) initialization, normal: N(0, σ²) with σ = gain/√fan, which is √(2/n_in) for ReLU. (Lecture notes with σ = 2/n_in give the
            /// variance.) An empty tensor is returned unchanged.
            /// </summary>
            /// <inheritdoc cref="kaiming_uniform_"/>
            public static Tensor kaiming_normal_(Tensor tensor, double a = 0, FanMode mode = FanMode.FanIn,
                Nonlinearity nonlinearity = Nonlinearity.LeakyReLU, Generator? generator = null) =>
                Kaiming.Normal(tensor, a, mode, nonlinearity, generator);

            /// <summary>Another name of <see cref="kaiming_uniform_"/>. <inheritdoc cref="kaiming_uniform_" path="/summary/node()"/></summary>
            /// <inheritdoc cref="kaiming_uniform_"/>
            public static Tensor he_uniform_(Tensor tensor, double a = 0, FanMode mode = FanMode.FanIn,
                Nonlinearity nonlinearity = Nonlinearity.LeakyReLU, Generator? generator = null) =>
                kaiming_uniform_(tensor, a, mode, nonlinearity, generator);

            /// <summary>
            /// Another name of <see cref="kaiming_normal_"/>, plain normal as in PyTorch. <inheritdoc cref="kaiming_normal_" path="/summary/node()"/>
            /// </summary>
            /// <inheritdoc cref="kaiming_uniform_"/>
            public static Tensor he_normal_(Tensor tensor, double a = 0, FanMode mode = FanMode.FanIn,
                Nonlinearity nonlinearity = Nonlinearity.LeakyReLU, Generator? generator = null) =>
                kaiming_normal_(tensor, a, mode, nonlinearity, generator);

            /// <summary>
            /// The gain recommended for the function after a layer, by which its weights' deviation is multiplied: gain = 1 for none, convolutions and
            /// sigmoid, 5/3 for tanh, √2 for ReLU, √(2/(1 + slope²)) for leaky ReLU, 3/4 for SELU.
            /// </summary>
            /// <param name="nonlinearity">The function.</param>
            /// <param name="param">Leaky ReLU's negative slope; null (the default): 0.01.</param>
            /// <returns>The gain.</returns>
            /// <exception cref="ArgumentException">The function is not in the table.</exception>
            /// <remarks>Source: <c>torch.nn.init.calculate_gain</c>; its 3/4 for SELU is PyTorch's own.</remarks>
            public static double calculate_gain(Nonlinearity nonlinearity, double? param = null) => Gain.Of(nonlinearity, param);

            /// <summary>
            /// The number of inputs of a unit, and of units that an input feeds, as PyTorch computes them from a weight's shape (out, in, …): fan_in =
            /// in·field, fan_out = out·field.
            /// </summary>
            /// <param name="tensor">A weight of two or more dimensions (out, in, …), of any dtype.</param>
            /// <returns>Both fans.</returns>
            /// <exception cref="ArgumentException">Fewer than two dimensions.</exception>
            public static (long fan_in, long fan_out) calculate_fan_in_and_fan_out(Tensor tensor) => Fan.Of(tensor);

            /// <summary>
            /// The real fans of a convolution, which PyTorch does not read from the shape alone: with groups, an input feeds out/groups units, and a
            /// transposed convolution stores its weight as (in, out/groups, …): fan_in = in/groups·field, fan_out = out/groups·field.
            /// </summary>
            /// <param name="tensor">A weight of two or more dimensions (out, in, …), of any dtype.</param>
            /// <param name="groups">The convolution's groups.</param>
            /// <param name="transposed">Whether the convolution is transposed. Default: false.</param>
            /// <returns>Both fans.</returns>
            /// <exception cref="ArgumentException">Fewer than two dimensions, or the first not divisible by <paramref name="groups"/>.</exception>
            public static (long fan_in, long fan_out) calculate_fan_in_and_fan_out(Tensor tensor, long groups, bool transposed = false) =>
                Fan.Of(tensor, groups, transposed);
        }
    }
}
