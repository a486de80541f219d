using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Clipping;

/// <summary>The gradients that one decision is about, with the parameters they belong to; norms are taken once and kept.</summary>
internal sealed class GradientSet
{
    private readonly Dictionary<double, double[]> _norms = [];

    public GradientSet(IReadOnlyList<Parameter> parameters, IReadOnlyList<Tensor> gradients, IReadOnlyList<string>? names = null, double average = 1)
    {
        Parameters = parameters;
        Gradients = gradients;
        Names = names;
        Average = average;
    }

    public IReadOnlyList<Parameter> Parameters { get; }

    public IReadOnlyList<Tensor> Gradients { get; }

    public IReadOnlyList<string>? Names { get; }

    /// <summary>1/k where the gradients are sums of k backward passes; every norm is that of the average.</summary>
    public double Average { get; }

    public int Count => Gradients.Count;

    /// <summary>Those parameters that have a gradient; the caller's DisposeScope owns the handles.</summary>
    public static GradientSet Of(IEnumerable<Parameter> parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        var having = new List<Parameter>();
        var gradients = new List<Tensor>();
        foreach (var p in parameters)
        {
            if (p is null) throw new ArgumentException("expected parameters, got null among them; leave out what is not registered", nameof(parameters));
            if (p.grad is not { } g) continue;
            having.Add(p);
            gradients.Add(g.is_sparse ? throw Sparse($"parameter {having.Count - 1} with a gradient, shape [{string.Join(", ", p.shape)}]") : g);
        }
        return new(having, gradients);
    }

    /// <summary>Refuses sparse gradients, which have no place in an elementwise update of every row.</summary>
    public static Tensor Dense(Tensor gradient, string name) => !gradient.is_sparse ? gradient : throw Sparse(name);

    private static InvalidOperationException Sparse(string name) => new($"The gradient of {name} is sparse; TorchStab clips and steps dense gradients only. " +
        "Build the embedding with sparse: false, or clip and step it with an optimizer of its own.");

    public double[] Norms(double order)
    {
        if (_norms.TryGetValue(order, out double[]? norms)) return norms;
        norms = GradientNorms.Of(Gradients, order);
        if (Average != 1 && order != 0)
            for (int i = 0; i < norms.Length; i++) norms[i] *= Average;
        return _norms[order] = norms;
    }

    public double TotalNorm(double order) => GradientNorms.Total(Norms(order), order);

    /// <summary>The first gradient that holds NaN or an infinity, or −1. Norms of a positive order tell; the others hide NaN.</summary>
    public int FirstNonFinite(double order) => Array.FindIndex(Norms(order > 0 ? order : 2), n => !double.IsFinite(n));

    public GradientSet Subset(IReadOnlyList<int> indices)
    {
        var subset = new GradientSet([.. indices.Select(i => Parameters[i])], [.. indices.Select(i => Gradients[i])],
            Names is null ? null : [.. indices.Select(i => Names[i])], Average);
        foreach (var (order, norms) in _norms) subset._norms[order] = [.. indices.Select(i => norms[i])];
        return subset;
    }
}
