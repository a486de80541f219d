using System.Globalization;
using ScottPlot;
using TorchStab.Samples;

namespace TrainMnist;

/// <summary>What a run leaves: two tables on the console, a chart and a CSV.</summary>
internal sealed class Results(IReadOnlyList<History> histories)
{
    private readonly IReadOnlyList<History> _trained = [.. histories.Where(h => h.Epochs.Count > 0)];

    public void PrintAndSave(OutputFolder folder)
    {
        Print();
        if (histories.Count > 0) Report.Line("chart  " + folder.Save("train-mnist.png", DrawChart));
        if (_trained.Count > 0) Report.Line("data   " + folder.Save("train-mnist.csv", WriteCsv));
    }

    private void Print()
    {
        Report.Table("Accuracy on the test images", ["network", "epochs", "last", "best", "loss"], histories.Select(Accuracies));
        if (_trained.Count == 0) return;
        string[] columns = ["layer", .. _trained.Select(h => h.Network.Name)];
        int layers = _trained[0].Epochs[0].Gradients.Layers.Length;
        Report.Table("Gradient norm by layer, first epoch", columns, Enumerable.Range(0, layers).Select(LayerRow));
    }

    private static string[] Accuracies(History history)
    {
        string epochs = $"{history.Epochs.Count}{(history.Diverged is null ? "" : ", diverged")}";
        if (history.Epochs.Count == 0) return [history.Network.Name, epochs, "-", "-", "-"];
        var last = history.Epochs[^1];
        return [history.Network.Name, epochs, Percent(last.Accuracy), Percent(history.Epochs.Max(e => e.Accuracy)),
            last.Loss.ToString("0.0000", CultureInfo.InvariantCulture)];
    }

    private string[] LayerRow(int layer)
    {
        int last = _trained[0].Epochs[0].Gradients.Layers.Length - 1;
        string name = layer == 0 ? "1 (first)" : layer == last ? $"{layer + 1} (last)" : $"{layer + 1}";
        return [name, .. _trained.Select(h => h.Epochs[0].Gradients.Layers[layer].ToString("0.0e+0", CultureInfo.InvariantCulture))];
    }

    private void DrawChart(string path)
    {
        var chart = new Chart();
        Draw(chart.AddPanel("Accuracy on the test images", "epoch", "%"), h => h.Epochs.Select(e => ((double)e.Number, 100 * e.Accuracy)));
        Draw(chart.AddPanel("Training loss", "epoch", "cross-entropy"), h => h.Epochs.Select(e => ((double)e.Number, e.Loss)));
        var layers = chart.AddPanel("Gradient norm by layer, first epoch", "layer, first to last", "norm", logY: true);
        Draw(layers, h => h.Epochs[0].Gradients.Layers.Select((norm, i) => (i + 1.0, norm)), legend: true);
        chart.Save(path);
    }

    private void Draw(ChartPanel panel, Func<History, IEnumerable<(double, double)>> points, bool legend = false)
    {
        foreach (var history in histories)
        {
            string label = history.Network.Name + (history.Diverged is null ? "" : " (diverged)");
            var finite = points(history).Where(p => double.IsFinite(p.Item2)).ToArray();
            if (finite.Length > 0) panel.Line(label, finite, markers: true);
            else panel.Missing(label);
        }
        if (legend) panel.Legend(Alignment.LowerRight);
    }

    private void WriteCsv(string path)
    {
        int layers = _trained[0].Epochs[0].Gradients.Layers.Length;
        string[] header = ["network", "epoch", "loss", "accuracy", "gradient_norm", "clipped_share",
            .. Enumerable.Range(1, layers).Select(i => $"gradient_norm_layer_{i}")];
        Csv.Write(path, header, _trained.SelectMany(h => h.Epochs.Select(e =>
            new object?[] { h.Network.Name, e.Number, e.Loss, e.Accuracy, e.Gradients.Total, e.ClippedShare }.Concat(e.Gradients.Layers.Cast<object?>()))));
    }

    private static string Percent(double share) => share.ToString("0.0 %", CultureInfo.InvariantCulture);
}
