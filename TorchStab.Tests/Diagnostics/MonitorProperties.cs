using System.Globalization;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Support.AnyCalls;

namespace TorchStab.Tests.Diagnostics;

/// <summary>
/// Monitors over any model, with any options, at any time: a report or a clear exception, the model and its gradients as they were, whatever
/// is NaN, empty, frozen or disposed, and sinks that write what any reader of CSV reads.
/// </summary>
public class MonitorProperties
{
    [SeededProperty(MaxTest = 150)]
    public void Gradients(int seed) => ForEach(typeof(GradientMonitor).GetConstructors(), seed, (constructor, arguments, create) =>
    {
        if (Try(create) is not GradientMonitor monitor) return;
        var model = arguments.Model!;
        var input = arguments.Tensor("input");
        Returns(() => Train(model, input));
        using var optimizer = optim.SGD([new TorchSharp.Modules.Parameter(ones(2)), .. model.parameters().Where(p => !p.IsInvalid)], 0.1);
        AssertUntouched(model, () => Returns(() => monitor.Observe(), out _));
        AssertUntouched(model, () => Returns(() => monitor.Step(() => { }), out _));
        Returns(() => monitor.Step(optimizer), out _);
        Returns(() => monitor.Step((Action)null!), out _);
        Assert.All(monitor.History, report => report.Worst(arguments.Sizes().Length - 2));
        Read(monitor.Judge(), monitor.History.Cast<object>(), w => monitor.History.WriteCsv(w));
        monitor.Dispose();
        Assert.False(Returns(() => monitor.Observe(), out _));
    });

    [SeededProperty(MaxTest = 150)]
    public void Activations(int seed) => ForEach(typeof(ActivationMonitor).GetConstructors(), seed, (constructor, arguments, create) =>
    {
        if (Try(create) is not ActivationMonitor monitor) return;
        var model = arguments.Model!;
        var input = arguments.Tensor("input");
        for (int i = 0; i < 3; i++) Returns(() => Train(model, input));
        arguments.AssertUnchanged("a watched pass");
        Read(monitor.Judge(), monitor.History.Cast<object>(), w => monitor.History.WriteCsv(w));
        monitor.Dispose();
        int before = monitor.History.Count;
        Returns(() => Train(model, input));
        Assert.Equal(before, monitor.History.Count);
    });

    [SeededProperty(MaxTest = 100)]
    public void Thresholds_are_numbers(double value)
    {
        (double number, bool share) = (value, value is >= 0 and <= 1);
        Assert.Equal(!double.IsNaN(number), Returns(() => new VerdictThresholds { VanishingRatio = number }, out _));
        Assert.Equal(!double.IsNaN(number), Returns(() => new VerdictThresholds { LargestUpdate = number }, out _));
        Assert.Equal(share, Returns(() => new VerdictThresholds { FlatSlope = number }, out _));
    }

    [Fact]
    public void Nothing_is_no_report_and_no_place_to_write()
    {
        using var text = new StringWriter();
        Assert.False(Returns(() => ((IEnumerable<GradientReport>)null!).WriteCsv(text)));
        Assert.False(Returns(() => new GradientReport[] { null! }.WriteCsv(text)));
        Assert.False(Returns(() => Array.Empty<GradientReport>().WriteCsv(null!)));
        Assert.False(Returns(() => ((IEnumerable<ActivationReport>)null!).WriteCsv(text)));
        Assert.False(Returns(() => new ActivationReport[] { null! }.WriteCsv(text)));
        Assert.False(Returns(() => Array.Empty<ActivationReport>().WriteCsv(null!)));
        Assert.False(Returns(() => ((GradientReport)null!).WriteTo(null!)));
        Assert.False(Returns(() => new ActivationReport { Call = 1, Layers = [] }.WriteTo(null!)));
    }

    /// <summary>One pass with an input that fits or does not.</summary>
    private static void Train(nn.Module model, Tensor input)
    {
        var output = ((nn.Module<Tensor, Tensor>)model).call(input);
        if (output.requires_grad) output.backward([randn_like(output)]);
    }

    /// <summary>Weights and gradients are as they were.</summary>
    private static void AssertUntouched(nn.Module model, Action watch)
    {
        var before = model.parameters().Where(p => !p.IsInvalid)
            .Select(p => (Parameter: p, Value: p.detach().clone(), Gradient: p.grad, Copy: p.grad?.clone())).ToList();
        watch();
        foreach (var (parameter, value, gradient, copy) in before)
        {
            Compare.Identical(value, parameter.detach(), "a weight");
            if (gradient is not null && copy is not null) Compare.Identical(copy, gradient, "a gradient");
        }
    }

    private static void Read(Diagnosis diagnosis, IEnumerable<object> history, Action<TextWriter> write)
    {
        Assert.NotEmpty($"{diagnosis}");
        Assert.All(history, report => Assert.NotEmpty($"{report}"));
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        write(text);
        string[] lines = text.ToString().Split(text.NewLine, StringSplitOptions.RemoveEmptyEntries);
        Assert.All(lines, line => Assert.Equal(lines[0].Count(c => c == ','), line.Count(c => c == ',')));
    }
}
