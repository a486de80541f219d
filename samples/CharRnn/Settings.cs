using TorchStab.Samples;

namespace CharRnn;

internal enum Cell { Plain, LayerNorm }

internal enum OptimizerKind { SGD, Adam }

/// <summary>Which optimizers the runs are made with.</summary>
internal enum OptimizerChoice { Both, SGD, Adam }

/// <summary>One of the compared models: which LSTM, what trains it, and the bound on the gradient's norm (null: none).</summary>
internal sealed record ModelSettings(Cell Cell, OptimizerKind Optimizer, double LearningRate, double? MaxNorm)
{
    public string Name => $"{Optimizer} {LearningRate}, {(Cell == Cell.Plain ? "plain" : "LayerNorm")}{(MaxNorm is null ? "" : ", clipped")}";
}

/// <summary>How every model of a run is built and trained.</summary>
internal sealed record TrainingSettings(
    int Width, int Layers, int Steps, int Batch, int Length, int Seed, int SampleLength, DeviceKind Device, Precision Precision);
