using TorchStab;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using Linear = TorchSharp.Modules.Linear;

namespace TrainMnist;

/// <summary>A stack of hidden layers (linear, normalization, activation) of one width, and a linear layer to ten classes.</summary>
internal sealed class DeepNetwork : Module<Tensor, Tensor>
{
    private readonly Module<Tensor, Tensor> _layers;

    public DeepNetwork(NetworkSettings settings) : base(nameof(DeepNetwork))
    {
        var modules = new List<(string, Module<Tensor, Tensor>)>();
        for (int i = 1; i <= settings.Depth; i++)
        {
            Linears.Add(Linear(i == 1 ? Mnist.Pixels : settings.Width, settings.Width));
            modules.Add(($"linear{i}", Linears[^1]));
            // A bias of the linear layer would be redundant before a norm, but the plain network has it: both stay comparable.
            if (NewNorm(settings) is { } norm) modules.Add(($"norm{i}", norm));
            modules.Add(($"activation{i}", NewActivation(settings.Activation)));
        }
        Linears.Add(Linear(settings.Width, Mnist.Classes));
        modules.Add(("output", Linears[^1]));
        _layers = Sequential(modules);
        foreach (var linear in Linears) Initialize(linear, settings.Init);
        RegisterComponents();
    }

    /// <summary>The layers with weights, first to last.</summary>
    public List<Linear> Linears { get; } = [];

    public override Tensor forward(Tensor input) => _layers.call(input);

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
