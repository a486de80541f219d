using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using Linear = TorchSharp.Modules.Linear;

namespace TrainMnist;

/// <summary>The network that settings describe: hidden layers of a linear layer, a norm and an activation, and a linear layer to the ten digits.</summary>
internal sealed class DeepNetwork : Perceptron
{
    public DeepNetwork(NetworkSettings settings)
        : base(new PerceptronShape(settings.Depth, settings.Width), () => NewActivation(settings.Activation), () => NewNorm(settings))
    {
        if (settings.Init == Init.Auto) stab.nn.init.initialize_(this);
        // LSUV needs data: the trainer has it.
        else if (settings.Init is not (Init.Default or Init.LSUV))
            foreach (var linear in Linears) Fill(linear, settings.Init);
    }

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

    /// <summary>One scheme for every layer, for comparisons; in a program of your own <c>initialize_</c> chooses.</summary>
    private static void Fill(Linear linear, Init scheme)
    {
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
