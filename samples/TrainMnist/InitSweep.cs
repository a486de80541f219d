using System.Globalization;
using TorchStab.Samples;

namespace TrainMnist;

/// <summary>Initialization alone: every scheme at four depths under tanh and ReLU, without normalization and clipping.</summary>
internal static class InitSweep
{
    private static readonly Init[] Schemes = [Init.Zeros, Init.Normal001, Init.Default, Init.Xavier, Init.He, Init.LSUV];
    private static readonly Activation[] Activations = [Activation.Tanh, Activation.ReLU];
    private static readonly int[] Depths = [5, 10, 20, 30];

    public static IReadOnlyList<NetworkSettings> Networks(int width) =>
    [
        .. from activation in Activations
           from depth in Depths
           from init in Schemes
           select new NetworkSettings($"{activation} {depth} {Word(init)}", activation, depth, width, Norm.None, init, ClipMode.None, 1),
    ];

    public static void PrintAndSave(IReadOnlyList<History> histories, OutputFolder folder)
    {
        string[] columns = ["initialization", .. from a in Activations from d in Depths select $"{a} {d}"];
        Report.Table("Accuracy on the test images after the last epoch, by depth", columns, Schemes.Select(scheme => Row(scheme, histories)));
        Report.Line("data   " + folder.Save("init-sweep.csv", path => Csv.Write(path, ["activation", "depth", "init", "epoch", "loss", "accuracy"],
            histories.SelectMany(h => h.Epochs.Select(e =>
                new object?[] { h.Network.Activation, h.Network.Depth, Word(h.Network.Init), e.Number, e.Loss, e.Accuracy })))));
    }

    private static string[] Row(Init scheme, IReadOnlyList<History> histories) =>
        [Word(scheme), .. from a in Activations from d in Depths select Accuracy(histories, scheme, a, d)];

    private static string Accuracy(IReadOnlyList<History> histories, Init scheme, Activation activation, int depth)
    {
        var history = histories.FirstOrDefault(h => h.Network.Init == scheme && h.Network.Activation == activation && h.Network.Depth == depth);
        return history is { Epochs.Count: > 0 } ? history.Epochs[^1].Accuracy.ToString("0.0 %", CultureInfo.InvariantCulture) : "-";
    }

    private static string Word(Init scheme) => scheme switch
    {
        Init.Default => "TorchSharp's default",
        Init.Normal001 => "normal, σ = 0.01",
        _ => scheme.ToString(),
    };
}
