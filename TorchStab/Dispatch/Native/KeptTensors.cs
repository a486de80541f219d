namespace TorchStab.Dispatch;

/// <summary>Handles that a native norm keeps for its backward pass; 0 for a missing one.</summary>
internal struct KeptTensors
{
    /// <summary>The statistics that the forward operation returned: the mean and 1/√(variance + eps).</summary>
    public nint Mean, Rate;

    /// <summary>Copies of the mean and the variance that an evaluation was given: a training step may change the originals in place.</summary>
    public nint GivenMean, GivenVariance;

    /// <summary>Where a ReLU gave 0.</summary>
    public nint Mask;

    public unsafe void Release()
    {
        foreach (nint handle in (ReadOnlySpan<nint>)[Mean, Rate, GivenMean, GivenVariance, Mask])
            if (handle != 0) LibTorch.Dispose(handle);
        this = default;
    }
}
