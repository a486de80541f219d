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
            /// Variance scaling: mean 0 and variance σ² = scale/fan, as in Keras and JAX. He is (2, fan-in), Glorot (1, fan-avg), LeCun (1, fan-in). An
            /// empty tensor is returned unchanged.
            /// </summary>
            /// <param name="tensor">A weight of two or more dimensions (out, in, …), of a floating-point dtype.</param>
            /// <param name="scale">The factor, positive. Default: 1.</param>
            /// <param name="mode">What fan is: FanIn (the default), FanOut, or FanAvg, the mean of both.</param>
            /// <param name="distribution">
            /// TruncatedNormal (the default; truncated at two deviations, widened by 1/0.87962566 to restore the variance), Normal, or Uniform in
            /// ±√(3·scale/fan).
            /// </param>
            /// <param name="generator">The random generator; null (the default): the global one.</param>
            /// <returns><paramref name="tensor"/>, filled.</returns>
            /// <exception cref="ArgumentException">
            /// Fewer than two dimensions, a scale that is not positive, an unknown mode or distribution, or a dtype that is not floating.
            /// </exception>
            /// <remarks>Source: <c>keras.initializers.VarianceScaling</c>, <c>jax.nn.initializers.variance_scaling</c>.</remarks>
            public static Tensor variance_scaling_(Tensor tensor, double scale = 1.0, FanMode mode = FanMode.FanIn,
                InitDistribution distribution = InitDistribution.TruncatedNormal, Generator? generator = null) =>
                VarianceScaling.Fill(tensor, scale, mode, distribution, generator);

            /// <summary>
            /// LeCun initialization, normal: mean 0 and variance σ² = 1/fan_in from a truncated normal distribution, as in Keras, JAX and timm; for layers
            /// before SELU, in self-normalizing networks.
            /// </summary>
            /// <param name="tensor">A weight of two or more dimensions (out, in, …), of a floating-point dtype.</param>
            /// <param name="generator">The random generator; null (the default): the global one.</param>
            /// <returns><paramref name="tensor"/>, filled.</returns>
            /// <exception cref="ArgumentException">Fewer than two dimensions, or a dtype that is not floating.</exception>
            /// <remarks>Source: LeCun et al. 1998, “Efficient BackProp”; Klambauer et al. 2017, “Self-normalizing neural networks”.</remarks>
            public static Tensor lecun_normal_(Tensor tensor, Generator? generator = null) =>
                VarianceScaling.Fill(tensor, 1, FanMode.FanIn, InitDistribution.TruncatedNormal, generator);

            /// <summary>LeCun initialization, uniform in ±√(3/fan_in): variance σ² = 1/fan_in.</summary>
            /// <inheritdoc cref="lecun_normal_"/>
            public static Tensor lecun_uniform_(Tensor tensor, Generator? generator = null) =>
                VarianceScaling.Fill(tensor, 1, FanMode.FanIn, InitDistribution.Uniform, generator);
        }
    }
}
