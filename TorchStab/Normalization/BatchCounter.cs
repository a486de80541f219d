using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Normalization;

/// <summary>num_batches_tracked during one call: looked at before anything is written, and raised at the end.</summary>
internal readonly struct BatchCounter
{
    private readonly Tensor? _batches;
    private readonly bool _inPlace;

    /// <summary>Refuses a counter that cannot be raised; null counts nothing.</summary>
    public BatchCounter(Tensor? batches)
    {
        if (batches is null) return;
        (_batches, _inPlace) = (batches, KernelSelection.TakesCounter(batches));
        if (_inPlace) return;
        using var _ = no_grad();
        Writable.RequireCounter(batches, nameof(Modules.NormBase.num_batches_tracked));
    }

    /// <summary>Adds one batch.</summary>
    public void Raise()
    {
        if (_inPlace) ChannelStatistics.Increment(_batches!);
        else if (_batches is not null)
        {
            using var _ = no_grad();
            _batches.add_(1);
        }
    }
}
