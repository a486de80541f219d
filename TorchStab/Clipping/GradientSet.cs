using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Clipping;

/// <summary>
/// The gradients that one decision is about, with the parameters they belong to; norms are taken once and kept. Read for a step, released
/// after it, and reused: a step allocates nothing for a parameter that the kernels take.
/// </summary>
internal sealed class GradientSet : IDisposable
{
    private readonly IReadOnlyList<Parameter> _parameters;
    private readonly Func<int, string>? _names;
    private readonly GradientHandles _handles = new();
    private readonly List<Tensor?> _tensors = [];
    private readonly Func<int, Tensor> _tensor;
    private readonly Dictionary<double, double[]> _norms = [];
    private readonly List<double> _measured = [];

    /// <param name="parameters">Those that may have a gradient; the list may change between two readings.</param>
    /// <param name="names">Names of the parameters, by place.</param>
    public GradientSet(IReadOnlyList<Parameter> parameters, Func<int, string>? names = null)
    {
        _parameters = parameters;
        _names = names;
        _tensor = Gradient;
    }

    /// <summary>How many of the parameters have a gradient.</summary>
    public int Count => _handles.Count;

    /// <summary>1/k where the gradients are sums of k backward passes; every norm is that of the average.</summary>
    public double Average { get; private set; } = 1;

    /// <summary>
    /// Those parameters that have a gradient now, one that is listed twice (a tied weight) once; the caller's DisposeScope owns what is made of them.
    /// </summary>
    public static GradientSet Of(IEnumerable<Parameter> parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        var list = parameters.ToList();
        if (list.Contains(null!)) throw new ArgumentException("expected parameters, got null among them; leave out what is not registered", nameof(parameters));
        if (list.FindIndex(p => p.IsInvalid) is >= 0 and int gone)
            throw new ArgumentException($"parameter {gone} no longer exists: it was disposed, or the model was moved by .to(); pass model.parameters() anew", nameof(parameters));
        return new GradientSet(Distinct(list)).Read();
    }

    /// <summary>Each parameter at its first place: a weight that two layers share has one gradient, which counts once.</summary>
    public static List<Parameter> Distinct(IEnumerable<Parameter> parameters) => [.. parameters.DistinctBy(ParameterIdentity.OfLeaf)];

    /// <summary>Looks which parameters have a gradient, and where it lies; <see cref="Release"/> follows, within the same DisposeScope.</summary>
    /// <param name="average">1/k where the gradients are sums of k backward passes.</param>
    /// <exception cref="InvalidOperationException">A gradient is sparse, complex, or not of its parameter's shape or device.</exception>
    public GradientSet Read(double average = 1)
    {
        Average = average;
        _handles.Read(_parameters);
        for (int i = 0; i < Count; i++) _tensors.Add(null);
        Check();
        return this;
    }

    /// <summary>Looks again where everything lies, after code of the user's that may have moved it.</summary>
    public void Reread()
    {
        for (int i = 0; i < Count; i++)
        {
            if (Parameter(i).IsInvalid) throw Refuse($"{Label(i)} was disposed by a callback while its gradient was being clipped; dispose it after the call");
            _handles.Reread(i, Parameter(i).Handle);
        }
        Check();
    }

    /// <summary>Carries a decision out on the gradients themselves.</summary>
    /// <exception cref="InvalidOperationException">A gradient that would be changed is expanded, or an inference tensor outside inference mode; none is changed then.</exception>
    public void Apply(ClipDecision decision)
    {
        RequireWritable(decision);
        for (int i = 0; i < Count; i++)
            if (Coefficient(decision, i) is { IsIdentity: false } c) c.ApplyInPlace(Gradient(i));
    }

    /// <summary>What happens to a gradient, the averaging over accumulated passes included.</summary>
    public GradientCoefficient Coefficient(ClipDecision decision, int i) => decision[i] with { Scale = decision[i].Scale * Average };

    /// <summary>Refuses gradients that the decision changes and in-place operations would refuse, before the first of them is written.</summary>
    public void RequireWritable(ClipDecision decision)
    {
        for (int i = 0; i < Count; i++)
            if (!Coefficient(decision, i).IsIdentity && Writable.WhyNot(Gradient(i)) is { } why) throw Refuse($"The gradient of {Label(i)} cannot be clipped in place: {why}");
    }

    /// <summary>Lets the gradients go.</summary>
    public void Release()
    {
        _handles.Release();
        _tensors.Clear();
        _measured.Clear();
    }

    void IDisposable.Dispose() => Release();

    /// <summary>The place of gradient i among all parameters.</summary>
    public int Place(int i) => _handles.Places[i];

    public Parameter Parameter(int i) => _parameters[Place(i)];

    public string? Name(int i) => _names?.Invoke(Place(i));

    /// <summary>The gradient as a tensor, for those that tensor operations work on; the DisposeScope of the step owns it.</summary>
    public Tensor Gradient(int i) => _tensors[i] ??= _handles.Tensor(i);

    /// <summary>Where a parameter lies.</summary>
    public TensorView ParameterView(int i) => _handles.Parameters[i];

    /// <summary>Where the parameter lies, and its gradient, for kernels.</summary>
    public StepMemory Memory(int i, in TensorView state0 = default, in TensorView state1 = default, in TensorView state2 = default) =>
        new(_handles.Parameters[i], _handles.Gradients[i], state0, state1, state2);

    public double[] Norms(double order)
    {
        if (!_norms.TryGetValue(order, out double[]? norms) || norms.Length != Count) _norms[order] = norms = new double[Count];
        else if (_measured.Contains(order)) return norms;
        GradientNorms.Measure(_handles.Gradients, _tensor, order, norms);
        if (Average != 1 && order != 0)
            for (int i = 0; i < norms.Length; i++) norms[i] *= Average;
        _measured.Add(order);
        return norms;
    }

    public double TotalNorm(double order) => GradientNorms.Total(Norms(order), order);

    /// <summary>The first gradient that holds NaN or an infinity, or −1. Norms of a positive order tell; the others hide NaN.</summary>
    public int FirstNonFinite(double order) => Array.FindIndex(Norms(order > 0 ? order : 2), static n => !double.IsFinite(n));

    /// <summary>Some of them, with the norms that are known already; to be disposed.</summary>
    public GradientSet Subset(int[] indices)
    {
        var subset = new GradientSet([.. indices.Select(Parameter)], _names is null ? null : place => Name(indices[place])!) { Average = Average };
        subset._handles.Take(_handles, indices);
        foreach (int i in indices) subset._tensors.Add(_tensors[i]);
        foreach (double order in _measured)
        {
            subset._norms[order] = [.. indices.Select(i => _norms[order][i])];
            subset._measured.Add(order);
        }
        return subset;
    }

    private string Label(int i) => Name(i) ?? $"parameter {Place(i)}";

    private void Check()
    {
        for (int i = 0; i < Count; i++)
            if (!_handles.Fits(i) && GradientCheck.WhyNot(Parameter(i), Gradient(i), Label(i)) is { } why) throw Refuse(why);
    }

    private InvalidOperationException Refuse(string why)
    {
        Release();
        return new(why);
    }
}
