using System.Globalization;
using static TorchSharp.torch;

namespace TorchStab.Tests.Diagnostics;

/// <summary>What goes out: tables, CSV whatever the culture, TensorBoard files.</summary>
public class MonitorSinksTests
{
    [Fact]
    public void Csv_and_tables_are_the_same_in_every_culture()
    {
        var (gradients, activations) = Recorded();
        string[] expected = Texts(gradients, activations);
        var before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = new CultureInfo("tr-TR"); // a comma for a point, and I for İ
            Assert.Equal(expected, Texts(gradients, activations));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Fact]
    public void Csv_has_a_line_a_layer_and_report_and_round_trips()
    {
        var (gradients, activations) = Recorded();
        string[][] rows = Rows(Csv(gradients.WriteCsv));
        Assert.Equal("step,layer,type,elements,norm,max,zero_share,non_finite_share,weight_norm,norm_to_weight,update_to_weight", string.Join(',', rows[0]));
        Assert.Equal(1 + (2 * 3), rows.Length);
        Assert.All(rows, r => Assert.Equal(11, r.Length));
        Assert.Equal(gradients[1].Layers[2].Norm, double.Parse(rows[6][4], CultureInfo.InvariantCulture));
        Assert.Equal("", rows[1][10]); // Observe sees no update
        Assert.NotEqual("", rows[4][10]);
        Assert.Equal(1 + (2 * 5), Rows(Csv(activations.WriteCsv)).Length);
    }

    [Fact]
    public void Names_with_commas_and_quotes_are_quoted()
    {
        ActivationRecord record = new() { Layer = "a,\"b\"", Kind = "K", Mean = double.NaN, Std = 1, NonFiniteShare = 0, Rows = 1 };
        ActivationReport[] reports = [new() { Call = 1, Layers = [record] }];
        Assert.Contains("1,\"a,\"\"b\"\"\",K,1,NaN,1,,,0", Csv(reports.WriteCsv), StringComparison.Ordinal);
    }

    [Fact]
    public void TensorBoard_gets_a_scalar_a_number()
    {
        var (gradients, activations) = Recorded();
        var folder = Directory.CreateTempSubdirectory("torchstab-");
        try
        {
            var writer = utils.tensorboard.SummaryWriter(folder.FullName);
            foreach (var report in gradients) report.WriteTo(writer);
            foreach (var report in activations) report.WriteTo(writer, 7);
            string written = File.ReadAllText(Assert.Single(folder.GetFiles()).FullName);
            string[] tags = ["gradient_norm/total", "gradient_norm/linear1", "update_to_weight/output", "activation_std/activation2", "dead_share/activation1"];
            Assert.All(tags, tag => Assert.Contains(tag, written, StringComparison.Ordinal));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static (List<GradientReport>, List<ActivationReport>) Recorded()
    {
        using var net = DiagnosticNets.Deep(() => nn.ReLU(), 2);
        using var gradients = new GradientMonitor(net, new() { Every = 1 });
        using var activations = new ActivationMonitor(net, new() { Every = 1 });
        using var optimizer = optim.SGD(net.parameters(), 0.1);
        DiagnosticNets.Backward(net, 0);
        gradients.Observe();
        DiagnosticNets.Backward(net, 1);
        gradients.Step(optimizer);
        return ([.. gradients.History], [.. activations.History]);
    }

    private static string[] Texts(List<GradientReport> gradients, List<ActivationReport> activations) =>
        [Csv(gradients.WriteCsv), Csv(activations.WriteCsv), gradients[1].ToString(), activations[1].ToString()];

    private static string Csv(Action<TextWriter> write)
    {
        using var text = new StringWriter(CultureInfo.CurrentCulture);
        write(text);
        return text.ToString();
    }

    private static string[][] Rows(string csv) => [.. csv.Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(','))];
}
