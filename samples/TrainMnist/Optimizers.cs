using TorchStab;
using TorchStab.Modules;
using static TorchSharp.torch;
using Optimizer = TorchSharp.torch.optim.Optimizer;

namespace TrainMnist;

/// <summary>The optimizer of a network: TorchSharp's for the one without TorchStab, else TorchStab's, which clips in the same step.</summary>
internal static class Optimizers
{
    private const double Momentum = 0.9;

    public static Optimizer Create(NetworkSettings settings, TrainingSettings training, DeepNetwork network) =>
        settings.Stabilized ? Stabilized(settings, training, network) : Plain(training, network);

    /// <summary>Whether the last step clipped; null where nothing clips.</summary>
    public static bool? Clipped(NetworkSettings network, Optimizer optimizer) =>
        network.Clip == ClipMode.None ? null : (optimizer as ClippingAwareOptimizer)?.LastStep.Clipped;

    // With names a report can say which parameter had the first NaN.
    private static Optimizer Stabilized(NetworkSettings settings, TrainingSettings training, DeepNetwork network)
    {
        var parameters = network.named_parameters();
        double lr = training.LearningRate;
        double? value = settings.Clip == ClipMode.Value ? settings.ClipThreshold : null;
        double? norm = settings.Clip == ClipMode.Norm ? settings.ClipThreshold : null;
        double? global = settings.Clip == ClipMode.Global ? settings.ClipThreshold : null;
        return training.Optimizer switch
        {
            OptimizerKind.AdamW => stab.optim.AdamW(parameters, lr, clipnorm: norm, clipvalue: value, global_clipnorm: global),
            OptimizerKind.SGD => stab.optim.SGD(parameters, lr, Momentum, clipnorm: norm, clipvalue: value, global_clipnorm: global),
            OptimizerKind.RMSprop => stab.optim.RMSprop(parameters, lr, clipnorm: norm, clipvalue: value, global_clipnorm: global),
            _ => stab.optim.Adam(parameters, lr, clipnorm: norm, clipvalue: value, global_clipnorm: global),
        };
    }

    private static Optimizer Plain(TrainingSettings training, DeepNetwork network)
    {
        var parameters = network.parameters();
        double lr = training.LearningRate;
        return training.Optimizer switch
        {
            OptimizerKind.AdamW => optim.AdamW(parameters, lr, weight_decay: 1e-2),
            OptimizerKind.SGD => optim.SGD(parameters, lr, Momentum),
            OptimizerKind.RMSprop => optim.RMSProp(parameters, lr),
            _ => optim.Adam(parameters, lr),
        };
    }
}
