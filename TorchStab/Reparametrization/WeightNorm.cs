using TorchSharp.Modules;
using TorchStab.Normalization;
using TorchStab.Reparametrization;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Modules;

/// <summary>
/// Weight normalization, w = g·v/‖v‖: the norm and the direction of each row of a weight are separate parameters. The norm is over all dimensions but
/// <see cref="dim"/>, or over the whole tensor if that is null.
/// </summary>
/// <remarks>
/// Salimans and Kingma 2016 (arXiv 1602.07868); with the keys and values of <c>torch.nn.utils.parametrizations.weight_norm</c>. Any floating-point dtype.
/// </remarks>
public sealed class WeightNorm : Parametrization
{
    private Parameter _g, _v;

    internal WeightNorm(Parameter weight, long? dim)
        : base(nameof(WeightNorm))
    {
        this.dim = dim;
        _v = weight;
        using (no_grad()) _g = new Parameter(WeightNormFunctional.Norm(weight, dim), weight.requires_grad);
        _g.DetachFromDisposeScope();
        register_parameter(nameof(original0), _g);
        register_parameter(nameof(original1), _v);
    }

    /// <summary>The dimension with one norm for each index; null: one norm for the whole tensor.</summary>
    public long? dim { get; }

    /// <summary>g, the norms: the weight's rank, with size 1 in all dimensions but <see cref="dim"/>.</summary>
    public Parameter original0 => _g;

    /// <summary>v, the direction, with the weight's shape.</summary>
    public Parameter original1 => _v;

    /// <summary>The class name and the dimension.</summary>
    public override string ToString() => FormattableString.Invariant($"WeightNorm(dim={(dim is { } d ? $"{d}" : "None")})");

    internal override Parameter Matrix => _v;

    internal override string MatrixName => nameof(original1);

    internal override (string Name, Parameter Parameter)? Scale => (nameof(original0), _g);

    internal override IEnumerable<(string Suffix, string Key)> OlderKeys => [("_g", nameof(original0)), ("_v", nameof(original1))];

    internal override Tensor Compute() => WeightNormFunctional.Apply(_g, _v, dim);

    internal override void Follow()
    {
        using var _ = no_grad();
        using var norm = WeightNormFunctional.Norm(_v, dim);
        _g.copy_(norm);
    }

    internal override bool TryScale(double factor)
    {
        using var _ = no_grad();
        _g.mul_(Held(factor));
        return true;
    }

    private protected override void Move(StateMove move)
    {
        _g = Moved(_g, nameof(original0), move);
        _v = Moved(_v, nameof(original1), move);
    }
}
