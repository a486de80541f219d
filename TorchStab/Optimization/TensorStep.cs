using TorchSharp;
using TorchStab.Clipping;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>
/// What the update of one parameter in tensor operations works on. Half types are computed in float32 and rounded once, by <see cref="Commit"/>:
/// their own arithmetic makes an eps of 1e-8 zero and the square of 300 infinite. All temporaries of the update are gone when it is disposed, so
/// that a step needs memory for those of one parameter, not of all.
/// </summary>
internal sealed class TensorStep : IDisposable
{
    private readonly ScalarType _dtype;
    private readonly DisposeScope _scope;
    private readonly List<(Tensor Stored, Tensor Wide)> _rounded = [];

    /// <param name="update">Of which parameter, by which gradient.</param>
    /// <param name="moments">The dtype of its state.</param>
    /// <param name="maximize">Whether the gradient turns round.</param>
    public TensorStep(in ParameterUpdate update, ScalarType moments, bool? maximize)
    {
        var (parameter, gradient) = (update.Parameter, update.Gradient); // before the scope: the gradient is kept for the whole step
        _scope = NewDisposeScope();
        _dtype = parameter.dtype == ScalarType.Float64 || moments == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;
        Parameter = Open(parameter);
        Gradient = Clipped(update.Coefficient, gradient, maximize == true);
    }

    /// <summary>The parameter, to be changed in place.</summary>
    public Tensor Parameter { get; }

    /// <summary>The clipped gradient; under maximize turned round. It is only read.</summary>
    public Tensor Gradient { get; }

    /// <summary>A tensor of the state, to be changed in place.</summary>
    public Tensor Open(Tensor stored)
    {
        if (stored.dtype == _dtype) return stored;
        var wide = stored.to(_dtype);
        _rounded.Add((stored, wide));
        return wide;
    }

    /// <summary>What is added to a denominator: see <see cref="Epsilon"/>.</summary>
    public double Eps(double eps) => Epsilon.AtLeast(eps, _dtype);

    /// <summary>Rounds what was computed in a wider dtype to where it is kept.</summary>
    public void Commit()
    {
        foreach (var (stored, wide) in _rounded) stored.copy_(wide);
    }

    public void Dispose() => _scope.Dispose();

    private Tensor Clipped(GradientCoefficient coefficient, Tensor gradient, bool turned)
    {
        if (gradient.dtype == _dtype)
        {
            var g = coefficient.Of(gradient);
            return turned ? g.neg() : g;
        }
        var wide = gradient.to(_dtype); // a copy of its own: clipped in place
        coefficient.ApplyInPlace(wide);
        return turned ? wide.neg_() : wide;
    }
}
