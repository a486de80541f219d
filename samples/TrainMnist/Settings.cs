using TorchStab.Samples;

namespace TrainMnist;

internal enum Activation { Sigmoid, Tanh, ReLU, LeakyReLU, SELU }

internal enum Norm { None, Batch, Layer, RMS }

/// <summary>How weights start. Auto: initialize_ chooses layer by layer; Default: as TorchSharp makes them.</summary>
internal enum Init { Auto, Default, Zeros, Normal001, Xavier, He, LSUV }

internal enum ClipMode { None, Value, Norm, Global }

internal enum OptimizerKind { Adam, AdamW, SGD, RMSprop }

/// <summary>One network of the comparison and how it is kept stable.</summary>
internal sealed record NetworkSettings(string Name, Activation Activation, int Depth, int Width, Norm Norm, Init Init, ClipMode Clip, double ClipThreshold,
    bool Stabilized = true)
{
    /// <summary>The same network as TorchSharp makes it: default initialization, no normalization, no clipping.</summary>
    public NetworkSettings Without() =>
        this with { Name = $"{Activation} without", Norm = Norm.None, Init = Init.Default, Clip = ClipMode.None, Stabilized = false };
}

/// <summary>How every network of a run is trained.</summary>
internal sealed record TrainingSettings(OptimizerKind Optimizer, double LearningRate, int Batch, int Epochs, int Seed, DeviceKind Device,
    Precision Precision);
