using TorchStab.Initialization;
using static TorchSharp.torch;

namespace TorchStab;

public static partial class stab
{
    public static partial class nn
    {
        public static partial class init
        {
            /// <summary>Uniform in [a, b): x = a + (b − a)·u with u ~ U[0, 1), as <c>torch.nn.init.uniform_</c>.</summary>
            /// <param name="tensor">Any shape, of a floating-point dtype.</param>
            /// <param name="a">The lower bound. Default: 0.</param>
            /// <param name="b">The upper bound. Default: 1.</param>
            /// <param name="generator">The random generator; null (the default): the global one.</param>
            /// <returns><paramref name="tensor"/>, filled.</returns>
            /// <exception cref="ArgumentException">Bounds reversed or beyond the dtype's range, or a dtype that is not floating.</exception>
            public static Tensor uniform_(Tensor tensor, double a = 0.0, double b = 1.0, Generator? generator = null) =>
                Uniform.Fill(tensor, a, b, generator);

            /// <summary>Normal: x = mean + std·z with z ~ N(0, 1), as <c>torch.nn.init.normal_</c>.</summary>
            /// <param name="tensor">Any shape, of a floating-point dtype.</param>
            /// <param name="mean">The mean. Default: 0.</param>
            /// <param name="std">The standard deviation. Default: 1.</param>
            /// <param name="generator">The random generator; null (the default): the global one.</param>
            /// <returns><paramref name="tensor"/>, filled.</returns>
            /// <exception cref="ArgumentException">A negative or NaN deviation, or a dtype that is not floating.</exception>
            public static Tensor normal_(Tensor tensor, double mean = 0.0, double std = 1.0, Generator? generator = null) =>
                Normal.Fill(tensor, mean, std, generator);

            /// <summary>
            /// Truncated normal: N(mean, std²) restricted to [a, b], by inversion: u uniform in (2Φ((a−mean)/std) − 1, 2Φ((b−mean)/std) − 1), then x =
            /// mean + std·√2·erf⁻¹(u), clamped. The bounds are absolute, not multiples of <paramref name="std"/>; one of them, or both, may be infinite.
            /// </summary>
            /// <param name="tensor">Any shape, of a floating-point dtype.</param>
            /// <param name="mean">The mean before truncation. Default: 0.</param>
            /// <param name="std">The standard deviation before truncation. Default: 1.</param>
            /// <param name="a">The least value. Default: −2.</param>
            /// <param name="b">The greatest value. Default: 2.</param>
            /// <param name="generator">The random generator; null (the default): the global one.</param>
            /// <returns><paramref name="tensor"/>, filled.</returns>
            /// <exception cref="ArgumentException">Bounds reversed, a deviation that is negative or zero, or a dtype that is not floating.</exception>
            /// <remarks>
            /// As <c>torch.nn.init.trunc_normal_</c>, bit for bit in float32 and float64, except where PyTorch's result is wrong. (1) A uniform number may
            /// round to ±1, whose inverse is infinite. PyTorch moves it to the bound, however far away that is; here it gives ±5.54σ (float64: ±8.38σ).
            /// (2) If the bounds contain only a tail or a narrow interval (less than 1/64 of the distribution in float32, less than 5·10⁻⁷ in float64),
            /// the tail itself is inverted in float64, which is accurate at any distance from the mean. (3) float16 and bfloat16 are drawn in float32 and
            /// rounded once. (4) No value is rounded out of [a, b].
            /// </remarks>
            public static Tensor trunc_normal_(Tensor tensor, double mean = 0.0, double std = 1.0, double a = -2.0, double b = 2.0,
                Generator? generator = null) =>
                TruncatedNormal.Fill(tensor, mean, std, a, b, generator);

            /// <summary>Sets every element to a number: x = <paramref name="val"/>, as <c>torch.nn.init.constant_</c>.</summary>
            /// <param name="tensor">Any shape and dtype, floating-point or not.</param>
            /// <param name="val">The value.</param>
            /// <returns><paramref name="tensor"/>, filled.</returns>
            /// <exception cref="ArgumentNullException">No tensor.</exception>
            public static Tensor constant_(Tensor tensor, double val) => Constant.Fill(tensor, val);

            /// <summary>Sets every element to one: x = 1, as <c>torch.nn.init.ones_</c>.</summary>
            /// <param name="tensor">Any shape and dtype, floating-point or not.</param>
            /// <returns><paramref name="tensor"/>, filled.</returns>
            /// <exception cref="ArgumentNullException">No tensor.</exception>
            public static Tensor ones_(Tensor tensor) => Constant.Fill(tensor, 1);

            /// <summary>Sets every element to zero: x = 0, as <c>torch.nn.init.zeros_</c>.</summary>
            /// <param name="tensor">Any shape and dtype, floating-point or not.</param>
            /// <returns><paramref name="tensor"/>, filled.</returns>
            /// <exception cref="ArgumentNullException">No tensor.</exception>
            public static Tensor zeros_(Tensor tensor) => Constant.Fill(tensor, 0);

            /// <summary>
            /// The identity matrix, also for a matrix that is not square: W[i, j] = 1 if i = j, else 0, so that a linear layer returns its inputs. As
            /// <c>torch.nn.init.eye_</c>.
            /// </summary>
            /// <param name="tensor">Two dimensions (out, in), of any dtype, floating-point or not.</param>
            /// <returns><paramref name="tensor"/>, filled.</returns>
            /// <exception cref="ArgumentException">Another number of dimensions.</exception>
            public static Tensor eye_(Tensor tensor) => Eye.Fill(tensor);

            /// <summary>
            /// The Dirac delta: 1 at the kernel's centre from input channel d to output channel d, 0 elsewhere, so that a padded convolution returns its
            /// inputs: W[d, d, centre] = 1, with <paramref name="groups"/> in each group. As <c>torch.nn.init.dirac_</c>.
            /// </summary>
            /// <param name="tensor">A convolution's weight (out, in/groups, kernel…), three to five dimensions, of any dtype, floating-point or not.</param>
            /// <param name="groups">The convolution's groups. Default: 1.</param>
            /// <returns><paramref name="tensor"/>, filled.</returns>
            /// <exception cref="ArgumentException">Another number of dimensions, or output channels not divisible by <paramref name="groups"/>.</exception>
            public static Tensor dirac_(Tensor tensor, long groups = 1) => Dirac.Fill(tensor, groups);

            /// <summary>
            /// A (semi-)orthogonal matrix times <paramref name="gain"/>: W·Wᵀ = gain²·I or Wᵀ·W = gain²·I, whichever is smaller; trailing dimensions are
            /// flattened. All orthogonal matrices are equally likely. Half types are computed in float32 and rounded, and any memory layout is accepted;
            /// PyTorch refuses both.
            /// </summary>
            /// <param name="tensor">Two or more dimensions, of a floating-point dtype.</param>
            /// <param name="gain">The factor. Default: 1.</param>
            /// <param name="generator">The random generator; null (the default): the global one.</param>
            /// <returns><paramref name="tensor"/>, filled.</returns>
            /// <exception cref="ArgumentException">Fewer than two dimensions, or a dtype that is not floating.</exception>
            /// <remarks>Source: Saxe et al. 2013, “Exact solutions to the nonlinear dynamics of learning in deep linear neural networks”.</remarks>
            public static Tensor orthogonal_(Tensor tensor, double gain = 1.0, Generator? generator = null) =>
                Orthogonal.Fill(tensor, gain, generator);

            /// <summary>
            /// Delta-orthogonal: an orthogonal matrix (out, in) at the kernel's centre, W[:, :, centre]ᵀ·W[:, :, centre] = gain²·I, zeros elsewhere: the
            /// convolution keeps the norm of its input, so that plain networks of thousands of layers can be trained.
            /// </summary>
            /// <param name="tensor">A convolution's weight (out, in, kernel…), three to five dimensions, in ≤ out, of a floating-point dtype.</param>
            /// <param name="gain">The factor. Default: 1.</param>
            /// <param name="generator">The random generator; null (the default): the global one.</param>
            /// <returns><paramref name="tensor"/>, filled.</returns>
            /// <exception cref="ArgumentException">Another number of dimensions, more input than output channels, or a dtype that is not floating.</exception>
            /// <remarks>Source: Xiao et al. 2018, “Dynamical isometry and a mean field theory of CNNs”; the centre of an even kernel as in JAX.</remarks>
            public static Tensor delta_orthogonal_(Tensor tensor, double gain = 1.0, Generator? generator = null) =>
                DeltaOrthogonal.Fill(tensor, gain, generator);

            /// <summary>Normal weights, x = std·z with z ~ N(0, 1), of which ⌈sparsity·rows⌉ in each column, chosen at random, are set to 0.</summary>
            /// <param name="tensor">Two dimensions (out, in), of a floating-point dtype.</param>
            /// <param name="sparsity">The fraction of zeros in a column, from 0 to 1.</param>
            /// <param name="std">The standard deviation of the other elements. Default: 0.01.</param>
            /// <param name="generator">The random generator, for the positions of the zeros too; null (the default): the global one.</param>
            /// <returns><paramref name="tensor"/>, filled.</returns>
            /// <exception cref="ArgumentException">
            /// Another number of dimensions, a fraction outside 0…1, a negative deviation, or a dtype that is not floating.
            /// </exception>
            /// <remarks>Source: Martens 2010, “Deep learning via Hessian-free optimization”.</remarks>
            public static Tensor sparse_(Tensor tensor, double sparsity, double std = 0.01, Generator? generator = null) =>
                Sparse.Fill(tensor, sparsity, std, generator);
        }
    }
}
