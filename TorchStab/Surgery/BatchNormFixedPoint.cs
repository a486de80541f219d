using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// Finds statistics for layers whose input depends on their own statistics: the fixed point of "write the statistics, run the model, measure its inputs".
/// In most models iteration converges, in one round for a layer outside a loop. If it diverges, Anderson mixing (1965) over the last few rounds starts from
/// the same statistics.
/// </summary>
internal sealed class BatchNormFixedPoint(IReadOnlyList<ModuleNode> norms, Func<List<(Tensor mean, Tensor variance)>> measure)
{
    private const int Rounds = 200, Memory = 6, Patience = 6;
    private const double Mixing = 0.5, LongestStep = 3; // of means in deviations, of deviations in logarithms
    private readonly List<NormState> _states = [.. norms.Select(n => NormState.Of(n.Module))];
    private readonly List<Tensor> _points = [], _residuals = [];
    private List<Tensor> _deviations = [];

    /// <exception cref="InvalidOperationException">No fixed point was found.</exception>
    public void Find()
    {
        using var scope = NewDisposeScope();
        if (Iterate()) return;
        for (int round = 0; round < Rounds; round++)
        {
            var measured = measure();
            if (Distance(measured) <= 1) return;
            if (round == 0) _deviations = [.. measured.Select(m => (m.variance + m.mean.square() * 1e-12).sqrt().cpu() + double.Epsilon)];
            var written = _states.Select(s => (s.RunningMean!.cpu().to(ScalarType.Float64), s.RunningVar!.cpu().to(ScalarType.Float64))).ToList();
            Write(Next(Vector(written), Vector(measured)));
        }
        throw new InvalidOperationException(
            $"no statistics of {string.Join(", ", norms.Select(n => $"'{n.Name}'"))} were found in {Rounds} runs over the data that are those of what the "
            + "layers get: a layer is called several times in a pass and gets what depends on its own output; give each call a BatchNorm of its own. "
            + "All statistics are as they were");
    }

    /// <summary>
    /// Writes the measured statistics until they equal the written ones. If that does not converge, restores the statistics and returns false.
    /// </summary>
    private bool Iterate()
    {
        var start = _states.Select(s => (s.RunningMean!.clone(), s.RunningVar!.clone())).ToList();
        double least = double.PositiveInfinity;
        for (int worse = 0; worse < Patience;)
        {
            var measured = measure();
            double distance = Distance(measured);
            if (distance <= 1) return true;
            worse = distance < least / 2 ? 0 : worse + 1;
            least = Math.Min(least, distance);
            Write(measured);
        }
        Write(start);
        return false;
    }

    private double Distance(List<(Tensor mean, Tensor variance)> measured) =>
        _states.Zip(measured).Max(p => Distance(p.First, p.Second.mean, p.Second.variance));

    /// <summary>The largest difference between written and measured statistics, in rounding errors of values of the input's size.</summary>
    private static double Distance(NormState state, Tensor mean, Tensor variance)
    {
        double eps = finfo(state.RunningMean!.dtype).eps;
        var deviation = variance.sqrt();
        var size = mean.abs() + deviation;
        var ofMean = (state.RunningMean.cpu().to(ScalarType.Float64) - mean).abs() / (size * (8 * eps));
        var ofVariance = (state.RunningVar!.cpu().to(ScalarType.Float64) - variance).abs() / (size * (deviation + size * eps) * (64 * eps));
        return maximum(ofMean.nan_to_num(0), ofVariance.nan_to_num(0)).max().item<double>();
    }

    /// <summary>The next point by Anderson mixing: where a linear combination of the last points has the smallest residual.</summary>
    private Tensor Next(Tensor point, Tensor image)
    {
        var residual = image - point;
        _points.Add(point);
        _residuals.Add(residual);
        if (_points.Count > Memory)
        {
            _points.RemoveAt(0);
            _residuals.RemoveAt(0);
        }
        var move = residual * Mixing;
        if (_points.Count > 1)
        {
            Tensor dX = Differences(_points), dR = Differences(_residuals), square = dR.mm(dR.t());
            var ridge = eye(square.shape[0], dtype: ScalarType.Float64, device: CPU) * (square.trace() * 1e-12 + double.Epsilon);
            var weights = linalg.solve(square + ridge, dR.mv(residual));
            move = move - (dX + dR * Mixing).t().mv(weights);
        }
        return point + move.nan_to_num(0).clamp(-LongestStep, LongestStep);
    }

    private static Tensor Differences(List<Tensor> rows) => stack(rows.Zip(rows.Skip(1)).Select(p => p.Second - p.First));

    /// <summary>The statistics of all layers as one vector: means in deviations, and half the logarithms of variances.</summary>
    private Tensor Vector(IEnumerable<(Tensor mean, Tensor variance)> statistics) => cat([.. statistics.Zip(_deviations)
        .SelectMany(s => new[] { s.First.mean.cpu() / s.Second, (s.First.variance.cpu() / s.Second.square() + 1e-24).log() / 2 })]);

    private void Write(List<(Tensor mean, Tensor variance)> statistics)
    {
        foreach (var (state, (mean, variance)) in _states.Zip(statistics))
        {
            state.RunningMean!.copy_(mean);
            state.RunningVar!.copy_(variance);
        }
    }

    private void Write(Tensor vector)
    {
        long from = 0;
        foreach (var (state, deviation) in _states.Zip(_deviations))
        {
            long channels = deviation.shape[0];
            state.RunningMean!.copy_(vector.narrow(0, from, channels) * deviation);
            state.RunningVar!.copy_(((vector.narrow(0, from + channels, channels) * 2).exp() - 1e-24) * deviation.square());
            from += 2 * channels;
        }
    }
}
