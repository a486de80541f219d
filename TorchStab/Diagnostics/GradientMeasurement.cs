using TorchSharp.Modules;
using TorchStab.Clipping;
using static TorchSharp.torch;

namespace TorchStab.Diagnostics;

/// <summary>
/// Measures the gradients of a model. Reads each kind of number for all tensors at once, so that it waits for a device four times, not once per layer.
/// </summary>
internal sealed class GradientMeasurement
{
    private readonly List<Tensor> _weights = [], _gradients = [];
    private readonly List<bool> _connected = [];
    private readonly double[] _weightNorms, _norms, _largest, _nonZero;

    private GradientMeasurement(List<TrainableLayer> layers)
    {
        foreach (var (_, parameter) in layers.SelectMany(l => l.Parameters))
        {
            var gradient = parameter.grad;
            _weights.Add(parameter);
            _connected.Add(gradient is not null);
            if (gradient is not null) _gradients.Add(gradient.is_sparse ? gradient.to_dense() : gradient);
        }
        _weightNorms = GradientNorms.Of(_weights, 2);
        _norms = GradientNorms.Of(_gradients, 2);
        _largest = GradientNorms.Of(_gradients, double.PositiveInfinity);
        _nonZero = GradientNorms.Of(_gradients, 0);
    }

    public static GradientReport Take(List<TrainableLayer> layers, long step)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var measured = new GradientMeasurement(layers);
        return new() { Step = step, Total = GradientNorms.Total(measured._norms, 2), Layers = measured.Records(layers) };
    }

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
            NonFiniteShare = NonFinite(gradients) / elements,
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

    // If a norm is finite, all elements are: only the others are counted.
    private long NonFinite(Range gradients)
    {
        long count = 0;
        for (int i = gradients.Start.Value; i < gradients.End.Value; i++)
            if (!double.IsFinite(_norms[i])) count += _gradients[i].numel() - _gradients[i].isfinite().sum().item<long>();
        return count;
    }
}
