using TorchSharp.Modules;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Clipping;

/// <summary>
/// The gradients of one decision and their parameters; each norm is measured once and cached. An optimizer reads one set for each step, releases it
/// afterwards and reuses it: a step allocates nothing for a parameter that the kernels accept.
/// </summary>
internal sealed class GradientSet : IDisposable
{
    private readonly IReadOnlyList<Parameter> _parameters;
    private readonly Func<int, string>? _names;
    private readonly Func<int, Tensor?>? _masters;
    private readonly GradientHandles _handles = new();
    private readonly List<Tensor?> _tensors = [];
    private readonly Func<int, Tensor> _tensor;
    private readonly Dictionary<double, double[]> _norms = [];
    private readonly List<double> _measured = [];

    /// <param name="parameters">The parameters, with or without a gradient; the list may change between two calls of <see cref="Read"/>.</param>
    /// <param name="names">Returns the name of a parameter, by its index in the list; null (the default): no names.</param>
    /// <param name="masters">Returns a more precise copy of a parameter; null for a parameter without one. null (the default): there are none.</param>
    public GradientSet(IReadOnlyList<Parameter> parameters, Func<int, string>? names = null, Func<int, Tensor?>? masters = null)
    {
        _parameters = parameters;
        (_names, _masters) = (names, masters);
        _tensor = Gradient;
    }

    /// <summary>The number of parameters that have a gradient.</summary>
    public int Count => _handles.Count;

    /// <summary>The factor of every gradient: 1/k for sums of k backward passes, 1/s for a loss times s. Norms are those of the product.</summary>
    public double Average { get; private set; } = 1;

    /// <summary>
    /// Reads the gradients that the parameters have now; a parameter that is listed twice (a tied weight) counts once. The caller's DisposeScope owns
    /// the tensors that are made.
    /// </summary>
    /// <param name="parameters">What may have a gradient.</param>
    /// <param name="average">See <see cref="Average"/>.</param>
    public static GradientSet Of(IEnumerable<Parameter> parameters, double average = 1)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        var list = parameters.ToList();
        if (list.Contains(null!)) throw new ArgumentException("expected parameters, got null among them; leave out what is not registered", nameof(parameters));
        if (list.FindIndex(p => p.IsInvalid) is >= 0 and int gone)
            throw new ArgumentException($"parameter {gone} no longer exists: it was disposed, or the model was moved by .to(); pass model.parameters() anew",
                nameof(parameters));
        return new GradientSet(Distinct(list)).Read(average);
    }

    /// <summary>The parameters without repetitions: a weight that two layers share has one gradient, which counts once.</summary>
    public static List<Parameter> Distinct(IEnumerable<Parameter> parameters) => [.. parameters.DistinctBy(ParameterIdentity.OfLeaf)];

    /// <summary>Finds the parameters that have a gradient, and where both are in memory. <see cref="Release"/> must follow in the same DisposeScope.</summary>
    /// <param name="average">1/k if the gradients are sums of k backward passes. Default: 1.</param>
    /// <exception cref="InvalidOperationException">A gradient is sparse, complex, or not of its parameter's shape or device.</exception>
    public GradientSet Read(double average = 1)
    {
        Average = average;
        _handles.Read(_parameters);
        for (int i = 0; i < Count; i++) _tensors.Add(null);
        Check();
        return this;
    }

    /// <summary>Reads all memory addresses again, after user code ran that may have moved tensors.</summary>
    public void Reread()
    {
        for (int i = 0; i < Count; i++)
        {
            if (Parameter(i).IsInvalid)
                throw ReleaseAndRefuse($"{Label(i)} was disposed by a callback while its gradient was being clipped; dispose it after the call");
            _handles.Reread(i, Parameter(i).Handle);
        }
        Check();
    }

    /// <summary>Applies a decision to the gradients in place.</summary>
    /// <exception cref="InvalidOperationException">
    /// A gradient that the decision changes is expanded, or is an inference tensor outside inference mode; no gradient is changed then.
    /// </exception>
    public void Apply(ClipDecision decision)
    {
        RequireWritable(decision);
        for (int i = 0; i < Count; i++)
            if (Coefficient(decision, i) is { IsIdentity: false } c) c.ApplyInPlace(Gradient(i));
    }

    /// <summary>The coefficient of gradient i, with the average over accumulated passes.</summary>
    public GradientCoefficient Coefficient(ClipDecision decision, int i) => decision[i] with { Scale = decision[i].Scale * Average };

    /// <summary>Refuses a decision that changes a gradient which cannot be written in place, before any gradient is written.</summary>
    public void RequireWritable(ClipDecision decision)
    {
        for (int i = 0; i < Count; i++)
            if (!Coefficient(decision, i).IsIdentity && Writable.WhyNot(Gradient(i)) is { } why)
                throw ReleaseAndRefuse($"The gradient of {Label(i)} cannot be clipped in place: {why}");
    }

    /// <summary>Releases the gradients' handles and forgets their norms.</summary>
    public void Release()
    {
        _handles.Release();
        _tensors.Clear();
        _measured.Clear();
    }

    void IDisposable.Dispose() => Release();

    /// <summary>The index of gradient i's parameter in the list of all parameters.</summary>
    public int ParameterIndex(int i) => _handles.ParameterIndices[i];

    public Parameter Parameter(int i) => _parameters[ParameterIndex(i)];

    /// <summary>The values of gradient i's parameter in the highest precision that exists. The current DisposeScope owns a copy.</summary>
    public Tensor Weight(int i) => _masters?.Invoke(ParameterIndex(i)) ?? Parameter(i);

    public string? Name(int i) => _names?.Invoke(ParameterIndex(i));

    /// <summary>Gradient i as a tensor, for tensor operations; the DisposeScope of the step owns it.</summary>
    public Tensor Gradient(int i) => _tensors[i] ??= _handles.Tensor(i);

    /// <summary>The memory of gradient i's parameter.</summary>
    public TensorView ParameterView(int i) => _handles.Parameters[i];

    /// <summary>The memory of the parameter, its gradient and its optimizer state, for kernels.</summary>
    public StepMemory Memory(int i, in TensorView state0 = default, in TensorView state1 = default, in TensorView state2 = default,
        in TensorView master = default) => new(_handles.Parameters[i], _handles.Gradients[i], state0, state1, state2, master);

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

    /// <summary>The index of the first gradient with a NaN or an infinity, or −1. Norms of order 0 or below hide NaN, so the 2-norm is used for them.</summary>
    public int FirstNonFinite(double order) => Array.FindIndex(Norms(order > 0 ? order : 2), static n => !double.IsFinite(n));

    /// <summary>A set of some of the gradients, with the norms measured so far; the caller disposes it.</summary>
    public GradientSet Subset(int[] indices)
    {
        var subset = new GradientSet([.. indices.Select(Parameter)], _names is null ? null : place => Name(indices[place])!,
            _masters is null ? null : place => _masters(ParameterIndex(indices[place])))
        {
            Average = Average,
        };
        subset._handles.Take(_handles, indices);
        foreach (int i in indices) subset._tensors.Add(_tensors[i]);
        foreach (double order in _measured)
        {
            subset._norms[order] = [.. indices.Select(i => _norms[order][i])];
            subset._measured.Add(order);
        }
        return subset;
    }

    private string Label(int i) => Name(i) ?? $"parameter {ParameterIndex(i)}";

    private void Check()
    {
        for (int i = 0; i < Count; i++)
            if (!_handles.Fits(i) && GradientCheck.WhyNot(Parameter(i), Gradient(i), Label(i)) is { } why) throw ReleaseAndRefuse(why);
    }

    private InvalidOperationException ReleaseAndRefuse(string why)
    {
        Release();
        return new(why);
    }
}
