using System.Globalization;
using TorchSharp.Modules;

namespace TorchStab;

/// <summary>Writes reports to CSV files and to TensorBoard.</summary>
public static class MonitorSinks
{
    /// <summary>
    /// Writes gradient reports as CSV: a line of column names, then one line for each layer of each report. Numbers are in the invariant culture; a cell is
    /// empty if its number was not measured.
    /// </summary>
    /// <param name="reports">The reports, such as <see cref="GradientMonitor.History"/>.</param>
    /// <param name="writer">Receives the text and stays open.</param>
    /// <exception cref="ArgumentException">An argument, or a report among them, is null.</exception>
    public static void WriteCsv(this IEnumerable<GradientReport> reports, TextWriter writer)
    {
        ArgumentNullException.ThrowIfNull(reports);
        ArgumentNullException.ThrowIfNull(writer);
        Line(writer, "step", "layer", "type", "elements", "norm", "max", "zero_share", "non_finite_share", "weight_norm", "norm_to_weight", "update_to_weight");
        foreach (var report in NoneIsNull(reports))
            foreach (var l in report.Layers)
                Line(writer, report.Step, l.Layer, l.Kind, l.Elements, l.Norm, l.Max, l.ZeroShare, l.NonFiniteShare, l.WeightNorm, l.Ratio, l.UpdateRatio);
    }

    /// <summary>
    /// Writes activation reports as CSV: a line of column names, then one line for each layer of each report. Numbers are in the invariant culture; a cell
    /// is empty if its number was not measured.
    /// </summary>
    /// <param name="reports">The reports, such as <see cref="ActivationMonitor.History"/>.</param>
    /// <param name="writer">Receives the text and stays open.</param>
    /// <exception cref="ArgumentException">An argument, or a report among them, is null.</exception>
    public static void WriteCsv(this IEnumerable<ActivationReport> reports, TextWriter writer)
    {
        ArgumentNullException.ThrowIfNull(reports);
        ArgumentNullException.ThrowIfNull(writer);
        Line(writer, "call", "layer", "type", "rows", "mean", "std", "dead_share", "saturated_share", "non_finite_share", "largest");
        foreach (var report in NoneIsNull(reports))
            foreach (var l in report.Layers)
                Line(writer, report.Call, l.Layer, l.Kind, l.Rows, l.Mean, l.Std, l.DeadShare, l.SaturatedShare, l.NonFiniteShare,
                    l.LargestMagnitude);
    }

    /// <summary>
    /// Writes a gradient report as scalars for TensorBoard: <c>gradient_norm/total</c>, and for each layer <c>gradient_norm/…</c>, <c>gradient_max/…</c>,
    /// <c>gradient_zero_share/…</c>, <c>gradient_non_finite_share/…</c>, <c>gradient_to_weight/…</c> and, where measured, <c>update_to_weight/…</c>.
    /// </summary>
    /// <param name="report">The report.</param>
    /// <param name="writer">A writer made by <c>torch.utils.tensorboard.SummaryWriter</c>.</param>
    /// <param name="global_step">The position on the step axis; null (the default): the report's number.</param>
    /// <exception cref="ArgumentNullException">The report or the writer is null.</exception>
    public static void WriteTo(this GradientReport report, SummaryWriter writer, int? global_step = null)
    {
        ArgumentNullException.ThrowIfNull(report);
        ArgumentNullException.ThrowIfNull(writer);
        int step = global_step ?? (int)report.Step;
        Scalar(writer, "gradient_norm", "total", report.Total, step);
        foreach (var l in report.Layers)
        {
            Scalar(writer, "gradient_norm", l.Layer, l.Norm, step);
            Scalar(writer, "gradient_max", l.Layer, l.Max, step);
            Scalar(writer, "gradient_zero_share", l.Layer, l.ZeroShare, step);
            Scalar(writer, "gradient_non_finite_share", l.Layer, l.NonFiniteShare, step);
            Scalar(writer, "gradient_to_weight", l.Layer, l.Ratio, step);
            Scalar(writer, "update_to_weight", l.Layer, l.UpdateRatio, step);
        }
    }

    /// <summary>
    /// Writes an activation report as scalars for TensorBoard: for each layer <c>activation_mean/…</c>, <c>activation_std/…</c>,
    /// <c>activation_non_finite_share/…</c> and, if it has one, <c>dead_share/…</c>, <c>saturated_share/…</c> or
    /// <c>activation_largest/…</c>.
    /// </summary>
    /// <inheritdoc cref="WriteTo(GradientReport, SummaryWriter, int?)"/>
    public static void WriteTo(this ActivationReport report, SummaryWriter writer, int? global_step = null)
    {
        ArgumentNullException.ThrowIfNull(report);
        ArgumentNullException.ThrowIfNull(writer);
        int step = global_step ?? (int)report.Call;
        foreach (var l in report.Layers)
        {
            Scalar(writer, "activation_mean", l.Layer, l.Mean, step);
            Scalar(writer, "activation_std", l.Layer, l.Std, step);
            Scalar(writer, "activation_non_finite_share", l.Layer, l.NonFiniteShare, step);
            Scalar(writer, "dead_share", l.Layer, l.DeadShare, step);
            Scalar(writer, "saturated_share", l.Layer, l.SaturatedShare, step);
            Scalar(writer, "activation_largest", l.Layer, l.LargestMagnitude, step);
        }
    }

    private static IEnumerable<T> NoneIsNull<T>(IEnumerable<T> reports) =>
        reports.Select(r => r ?? throw new ArgumentException("expected reports, got null among them", nameof(reports)));

    private static void Scalar(SummaryWriter writer, string what, string layer, double? value, int step)
    {
        if (value is { } v) writer.add_scalar($"{what}/{layer}", (float)v, step);
    }

    private static void Line(TextWriter writer, params object?[] cells) => writer.WriteLine(string.Join(',', cells.Select(Cell)));

    private static string Cell(object? value)
    {
        string text = Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";
        return text.AsSpan().ContainsAny(",\"\n") ? $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : text;
    }
}
