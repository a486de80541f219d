using System.Globalization;
using ScottPlot;
using TorchStab.Samples;

namespace CharRnn;

/// <summary>What a run leaves: a table and texts on the console, a chart and a CSV.</summary>
internal sealed class Results(IReadOnlyList<History> histories, int characters)
{
    /// <summary>Steps a point of the chart averages.</summary>
    private const int Smoothing = 10;
    private readonly IReadOnlyList<History> _trained = [.. histories.Where(h => h.Steps.Count > 0)];

    public void Print()
    {
        if (_trained.Count == 0) return;
        Report.Table("Bits a character: less is better", ["model", "steps", "validation", "last steps", "worst step", "worse than guessing"],
            _trained.Select(Bits));
        Report.Table("Gradient norms", ["model", "median", "largest", "steps clipped", "seconds"], _trained.Select(Norms));
        foreach (var history in _trained.Where(h => h.Sample.Length > 0))
            Report.Line($"{Environment.NewLine}{history.Model.Name} writes:{Environment.NewLine}{history.Sample}");
        Report.Line("");
    }

    public void Save(OutputFolder folder)
    {
        if (_trained.Count == 0) return;
        Report.Line("chart  " + folder.Save("char-rnn.png", DrawChart));
        Report.Line("data   " + folder.Save("char-rnn.csv", path => Csv.Write(path, ["model", "step", "bits", "gradient_norm", "clipped"],
            _trained.SelectMany(h => h.Steps.Select(s => new object?[] { h.Model.Name, s.Number, s.Bits, s.GradNorm, s.Clipped ? 1 : 0 })))));
    }

    private string[] Bits(History history)
    {
        // A model that has seen nothing and knows it needs this many bits.
        double guessing = Math.Log2(characters);
        var later = history.Steps.Skip(Smoothing).DefaultIfEmpty(history.Steps[^1]);
        return
        [
            history.Model.Name, history.ExplodedAt is { } step ? $"exploded at {step}" : $"{history.Steps.Count}", Format(history.ValidationBits, "0.00"),
            Format(history.Steps.TakeLast(Smoothing).Average(s => s.Bits), "0.00"), Format(history.Steps.Max(s => s.Bits), "0.00"),
            Format(later.Average(s => s.Bits <= guessing ? 0 : 1), "0 %"),
        ];
    }

    private static string[] Norms(History history)
    {
        var norms = history.Steps.Select(s => s.GradNorm).Order().ToArray();
        string clipped = history.Model.MaxNorm is null ? "-" : Format(history.Steps.Average(s => s.Clipped ? 1 : 0), "0 %");
        return [history.Model.Name, Format(norms[norms.Length / 2], "0.0e+0"), Format(norms[^1], "0.0e+0"), clipped, Format(history.Seconds, "0")];
    }

    private void DrawChart(string path)
    {
        var chart = new Chart();
        var loss = chart.AddPanel("Training loss", "step", "bits a character", logY: true);
        var norm = chart.AddPanel("Gradient norm before clipping, largest of ten steps", "step", "norm", logY: true);
        foreach (var history in _trained)
        {
            var parts = history.Steps.Chunk(Smoothing).ToArray();
            loss.Line(history.Model.Name, parts.Select(p => ((double)p[^1].Number, p.Average(s => s.Bits))));
            norm.Line(history.Model.Name, parts.Select(p => ((double)p[^1].Number, p.Max(s => s.GradNorm))));
        }
        loss.Legend(Alignment.UpperRight);
        chart.Save(path);
    }

    private static string Format(double value, string format) => double.IsNaN(value) ? "-" : value.ToString(format, CultureInfo.InvariantCulture);
}
