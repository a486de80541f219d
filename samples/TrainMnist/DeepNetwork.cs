using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using Linear = TorchSharp.Modules.Linear;

namespace TrainMnist;

/// <summary>The network that settings describe.</summary>
internal sealed class DeepNetwork(NetworkSettings settings) : Perceptron(
    new PerceptronShape(settings.Depth, settings.Width), () => NewActivation(settings.Activation), () => NewNorm(settings), linear => Initialize(linear, settings.Init))
{
    private static Module<Tensor, Tensor>? NewNorm(NetworkSettings settings) => settings.Norm switch
    {
        Norm.Batch => stab.nn.BatchNorm1d(settings.Width),
        Norm.Layer => stab.nn.LayerNorm(settings.Width),
        Norm.RMS => stab.nn.RMSNorm(settings.Width),
        _ => null,
    };

    private static Module<Tensor, Tensor> NewActivation(Activation activation) => activation switch
    {
        Activation.Tanh => Tanh(),
        Activation.ReLU => ReLU(),
        Activation.LeakyReLU => LeakyReLU(0.01),
        Activation.SELU => SELU(),
        _ => Sigmoid(),
    };

    private static void Initialize(Linear linear, Init scheme)
    {
        // LSUV needs data: the trainer has it.
        if (scheme is Init.Default or Init.LSUV) return;
        stab.nn.init.zeros_(linear.bias!);
        _ = scheme switch
        {
            Init.Zeros => stab.nn.init.zeros_(linear.weight!),
            Init.Normal001 => stab.nn.init.normal_(linear.weight!, 0, 0.01),
            Init.Xavier => stab.nn.init.xavier_normal_(linear.weight!),
            _ => stab.nn.init.kaiming_normal_(linear.weight!, nonlinearity: Nonlinearity.ReLU),
        };
    }
}
