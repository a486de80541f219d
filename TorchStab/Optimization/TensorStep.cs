using TorchSharp;
using TorchStab.Clipping;
using static TorchSharp.torch;

namespace TorchStab.Optimization;

/// <summary>
/// The operands of one parameter's update in tensor operations. float16 and bfloat16 are computed in float32, and <see cref="Commit"/> rounds once: in
/// float16 an eps of 1e-8 is zero and the square of 300 is infinite. Disposing it frees all temporary tensors of the update, so that a step needs
/// temporary memory for one parameter at a time.
/// </summary>
internal sealed class TensorStep : IDisposable
{
    private readonly ScalarType _dtype;
    private readonly Tensor _parameter;
    private readonly Tensor? _master;
    private readonly DisposeScope _scope;
    private readonly List<(Tensor Stored, Tensor Wide)> _rounded = [];

    /// <param name="update">The parameter and its gradient.</param>
    /// <param name="moments">The dtype of the parameter's state.</param>
    /// <param name="maximize">Whether the gradient's sign is reversed.</param>
    public TensorStep(in ParameterUpdate update, ScalarType moments, bool? maximize)
    {
        var (parameter, gradient) = (update.Parameter, update.Gradient); // before the scope is opened, because the gradient is used after this update
        _scope = NewDisposeScope();
        _dtype = parameter.dtype == ScalarType.Float64 || moments == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32;
        (_parameter, _master) = (parameter, update.State.master_param);
        if (_master is not null) _master.copy_(update.State.CurrentMaster()!);
        Parameter = Open(_master ?? parameter);
        Gradient = Clipped(update.Coefficient, gradient, maximize == true);
    }

    /// <summary>The parameter, its master copy, or a copy in the wider dtype; the update changes it in place.</summary>
    public Tensor Parameter { get; }

    /// <summary>The clipped gradient, with reversed sign if maximize is set. The update does not change it.</summary>
    public Tensor Gradient { get; }

    /// <summary>Returns a tensor of the state, or its copy in the wider dtype; the update changes it in place.</summary>
    public Tensor Open(Tensor stored)
    {
        if (stored.dtype == _dtype) return stored;
        var wide = stored.to(_dtype);
        _rounded.Add((stored, wide));
        return wide;
    }

    /// <summary>The eps of a denominator: see <see cref="ParameterUpdate.LeastEps"/>.</summary>
    public double Eps(double eps) => ParameterUpdate.LeastEps(eps, _dtype);

    /// <summary>Copies the results in the wider dtype back to the stored tensors.</summary>
    public void Commit()
    {
        foreach (var (stored, wide) in _rounded) stored.copy_(wide);
        if (_master is not null) _parameter.copy_(_master);
    }

    public void Dispose() => _scope.Dispose();

    private Tensor Clipped(GradientCoefficient coefficient, Tensor gradient, bool turned)
    {
        if (gradient.dtype == _dtype)
        {
            var g = coefficient.Of(gradient);
            return turned ? g.neg() : g;
        }
        var wide = gradient.to(_dtype); // a new copy, so it can be clipped in place
        coefficient.ApplyInPlace(wide);
        return turned ? wide.neg_() : wide;
    }
}
