using TorchSharp.Modules;
using TorchStab.Normalization;
using TorchStab.Reparametrization;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Modules;

/// <summary>
/// Spectral normalization, w = W/σ with σ = uᵀWv, the largest singular value of W as a matrix with one row for each index of <see cref="dim"/>. u and v
/// are buffers. Power iterations improve them: 15 at construction, <see cref="n_power_iterations"/> in each call in training mode, none in eval mode.
/// </summary>
/// <remarks>
/// Miyato et al. 2018 (arXiv 1802.05957); with the keys and values of <c>torch.nn.utils.parametrizations.spectral_norm</c>. Any floating-point dtype.
/// </remarks>
public sealed class SpectralNorm : Parametrization
{
    private const long FirstIterations = 15;
    private readonly SingularVectors _vectors;
    private Parameter _weight;

    internal SpectralNorm(Parameter weight, long n_power_iterations, double eps, long dim)
        : base(nameof(SpectralNorm))
    {
        (this.n_power_iterations, this.eps, this.dim, _weight) = (n_power_iterations, eps, dim, weight);
        register_parameter(nameof(original), weight);
        _vectors = new SingularVectors(weight, dim, eps);
        register_module("0", _vectors);
        SpectralNormFunctional.Iterate(weight, dim, u, v, FirstIterations, eps);
    }

    /// <summary>The number of power iterations in each call in training mode.</summary>
    public long n_power_iterations { get; }

    /// <summary>The smallest norm by which a vector is divided.</summary>
    public double eps { get; }

    /// <summary>The dimension that becomes the rows of the matrix.</summary>
    public long dim { get; }

    /// <summary>W, the weight before the division by σ.</summary>
    public Parameter original => _weight;

    /// <summary>u, the left singular vector, with one element for each row.</summary>
    public Tensor u => _vectors.U;

    /// <summary>v, the right singular vector, with one element for each column.</summary>
    public Tensor v => _vectors.V;

    /// <summary>The class name, the iterations, eps and the dimension.</summary>
    public override string ToString() => FormattableString.Invariant($"SpectralNorm(n_power_iterations={n_power_iterations}, eps={Repr.Of(eps)}, dim={dim})");

    internal override Parameter Matrix => _weight;

    internal override string MatrixName => nameof(original);

    internal override IEnumerable<(string Suffix, string Key)> OlderKeys => [("_orig", nameof(original)), ("_u", "0._u"), ("_v", "0._v")];

    internal override Tensor Compute()
    {
        if (training) SpectralNormFunctional.Iterate(_weight, dim, u, v, n_power_iterations, eps);
        return SpectralNormFunctional.Apply(_weight, dim, u, v);
    }

    internal override void Follow() => SpectralNormFunctional.Iterate(_weight, dim, u, v, FirstIterations, eps);

    internal override bool TryScale(double factor) => false;

    private protected override void Move(StateMove move)
    {
        _weight = Moved(_weight, nameof(original), move);
        _vectors.Move(move);
    }

    /// <summary>The child module with the buffers u and v, as in PyTorch's keys.</summary>
    private sealed class SingularVectors : nn.Module
    {
        private const string Left = "_u", Right = "_v";

        public SingularVectors(Tensor weight, long dim, double eps)
            : base(nameof(SingularVectors))
        {
            using var scope = NewDisposeScope();
            using var _ = no_grad();
            var matrix = SpectralNormFunctional.Matrix(weight, dim);
            (U, V) = (Start(matrix, 0, eps), Start(matrix, 1, eps));
            register_buffer(Left, U);
            register_buffer(Right, V);
        }

        public Tensor U { get; private set; }

        public Tensor V { get; private set; }

        public void Move(StateMove move)
        {
            (U, V) = (Moved(U, move, Left), Moved(V, move, Right));
        }

        protected override void RegisterComponents() { }

        private Tensor Moved(Tensor buffer, StateMove move, string name)
        {
            var moved = move.Of(buffer)!;
            if (ReferenceEquals(moved, buffer)) return buffer;
            ConditionallyRegisterBuffer(name, moved);
            buffer.Dispose();
            return moved;
        }

        // A random direction from the same random numbers as PyTorch's.
        private static Tensor Start(Tensor matrix, int side, double eps)
        {
            var x = matrix.new_empty([matrix.size(side)]).normal_(0, 1);
            return x.div_(x.norm().clamp_min(Held(eps))).DetachFromDisposeScope();
        }
    }
}
