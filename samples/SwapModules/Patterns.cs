using static TorchSharp.torch;

namespace SwapModules;

/// <summary>Images to tell apart without a download: each class has a random pattern, each image is its class's pattern under noise.</summary>
internal sealed class Patterns : IDisposable
{
    private readonly Tensor _images, _labels;
    private readonly int _batch;

    public Patterns(int images, int classes, int size, int batch, int seed, Device device)
    {
        using var scope = NewDisposeScope();
        manual_seed(seed);
        var patterns = randn(classes, 3, size, size, device: device);
        var labels = arange(images, device: device) % classes;
        _images = (patterns[labels] + randn(images, 3, size, size, device: device) * 2).DetachFromDisposeScope();
        _labels = labels.DetachFromDisposeScope();
        _batch = batch;
    }

    public int Batches => (int)(_images.shape[0] / _batch);

    /// <summary>The i-th batch, from the start again after the last.</summary>
    public (Tensor images, Tensor labels) this[int i]
    {
        get
        {
            long start = i % Batches * (long)_batch;
            return (_images.narrow(0, start, _batch), _labels.narrow(0, start, _batch));
        }
    }

    public IEnumerable<(Tensor images, Tensor labels)> All() => Enumerable.Range(0, Batches).Select(i => this[i]);

    public void Dispose()
    {
        _images.Dispose();
        _labels.Dispose();
    }
}
