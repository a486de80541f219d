using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Diagnostics;

/// <summary>
/// Measures the gradients of a model. What a kernel measures is known at once; the rest is computed on its device and read with all the other numbers.
/// </summary>
internal sealed class GradientMeasurement
{
    private readonly List<TrainableLayer> _layers;
    private readonly List<bool> _connected = [];
    private readonly double[] _weightNorms, _norms, _largest, _nonZero, _nonFinite;

    public GradientMeasurement(List<TrainableLayer> layers, DeviceNumbers later)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        _layers = layers;
        List<Tensor> weights = [], gradients = [];
        foreach (var (_, parameter) in layers.SelectMany(l => l.Parameters))
        {
            var gradient = parameter.grad;
            weights.Add(parameter);
            _connected.Add(gradient is not null);
            if (gradient is not null) gradients.Add(gradient.is_sparse ? gradient.to_dense() : gradient);
        }
        _weightNorms = GradientNorms.Of(weights, 2, later);
        _norms = GradientNorms.Of(gradients, 2, later);
        _largest = GradientNorms.Of(gradients, double.PositiveInfinity, later);
        _nonZero = GradientNorms.Of(gradients, 0, later);
        _nonFinite = new double[gradients.Count];
        for (int i = 0; i < _nonFinite.Length; i++) CountNonFinite(gradients[i], i, later);
    }

    /// <summary>The report, once the numbers are read.</summary>
    public GradientReport Report(long step) => new() { Step = step, Total = GradientNorms.Total(_norms, 2), Layers = Records(_layers) };

    private GradientRecord[] Records(List<TrainableLayer> layers)
    {
        var records = new GradientRecord[layers.Count];
        int parameter = 0, gradient = 0;
        for (int i = 0; i < records.Length; i++)
        {
            int count = layers[i].Parameters.Count;
            int connected = _connected.GetRange(parameter, count).Count(c => c);
            records[i] = Record(layers[i], parameter..(parameter + count), gradient..(gradient + connected));
            (parameter, gradient) = (parameter + count, gradient + connected);
        }
        return records;
    }

    private GradientRecord Record(TrainableLayer layer, Range parameters, Range gradients)
    {
        double elements = layer.Parameters.Sum(p => p.Parameter.numel());
        bool maps = layer.Parameters.Exists(p => p.Parameter.dim() > 1);
        var connected = layer.Parameters.Where((_, i) => _connected[parameters.Start.Value + i]).ToList();
        return new()
        {
            Layer = layer.Name,
            Kind = layer.Kind,
            Elements = (long)elements,
            Norm = GradientNorms.Total(_norms.AsSpan(gradients), 2),
            Max = _largest[gradients].Aggregate(0.0, Math.Max),
            ZeroShare = 1 - _nonZero[gradients].Sum() / elements,
            NonFiniteShare = _nonFinite[gradients].Sum() / elements,
            WeightNorm = GradientNorms.Total(_weightNorms.AsSpan(parameters), 2),
            NotConnected = [.. layer.Parameters.Where((_, i) => !_connected[parameters.Start.Value + i]).Select(p => p.Name)],
            Maps = maps,
            Gain = Gain(layer.Parameters, _weightNorms[parameters], maps),
            GainNorm = Gain(connected, _norms[gradients], maps),
            InitialNorm = Math.Sqrt(maps ? layer.Parameters.Where(p => p.Parameter.dim() > 1).Sum(p => p.Parameter.size(0) / 3.0) : elements),
        };
    }

    // The norm of the parameters by which a layer multiplies: its matrices or, without any, its scale.
    private static double Gain(List<(string Name, Parameter Parameter)> parameters, double[] norms, bool maps)
    {
        double[] some = [.. norms.Where((_, i) => maps ? parameters[i].Parameter.dim() > 1 : !IsShift(parameters[i].Name))];
        return some.Length == 0 ? double.NaN : GradientNorms.Total(some, 2);
    }

    private static bool IsShift(string name) =>
        name.Contains("bias", StringComparison.OrdinalIgnoreCase) || name.Contains("beta", StringComparison.OrdinalIgnoreCase);

    // If a norm is finite, all elements are: only the others are counted, and those that are not known yet. x − x is 0 for finite numbers, and NaN for others.
    private void CountNonFinite(Tensor gradient, int index, DeviceNumbers later)
    {
        if (!double.IsFinite(_norms[index]) && gradient.numel() > 0) later.Add(linalg.vector_norm(gradient - gradient, 0), count => _nonFinite[index] = count);
    }
}
