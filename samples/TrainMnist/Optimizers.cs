using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch.optim;

namespace TrainMnist;

internal static class Optimizers
{
    public static Optimizer Create(NetworkSettings network, TrainingSettings training, IEnumerable<Parameter> parameters)
    {
        double lr = training.LearningRate;
        return training.Optimizer switch
        {
            OptimizerKind.AdamW => torch.optim.AdamW(parameters, lr),
            OptimizerKind.SGD => torch.optim.SGD(parameters, lr, momentum: 0.9),
            OptimizerKind.RMSprop => torch.optim.RMSProp(parameters, lr),
            _ => torch.optim.Adam(parameters, lr),
        };
    }

    public static bool? Clipped(Optimizer optimizer) => null;
}
