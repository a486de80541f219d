using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// Count, mean and sum of squared deviations of each channel over any number of batches, in float64 (in float32 on a device without it). Batches are merged by
/// the formula of Chan, Golub and LeVeque (1979): the result does not depend on the split of the data, except in the last bits.
/// </summary>
internal sealed class DataSetMoments : IDisposable
{
    private Tensor? _count, _mean, _squares;

    public int Batches { get; private set; }

    /// <summary>Adds a batch (N, C, …), with a mask only the values that it counts.</summary>
    public void Add(Tensor input, Tensor? mask)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var x = input.detach().to(KernelSelection.WideDtype(input)).transpose(0, 1).flatten(1);
        var weight = mask is null ? ones_like(x) : mask.to(x.dtype).expand(input.shape).transpose(0, 1).flatten(1);
        x = where(weight > 0, x, zeros_like(x)); // padding may hold anything
        var count = weight.sum(dim: 1);
        var mean = (x * weight).sum(dim: 1) / count.clamp(min: 1);
        var squares = ((x - mean.unsqueeze(1)).square() * weight).sum(dim: 1);
        Merge(count, mean, squares);
        Batches++;
    }

    /// <summary>Mean and unbiased variance, in float64 on the CPU; null before the first batch.</summary>
    public (Tensor mean, Tensor variance)? Result()
    {
        if (_count is null) return null;
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(_mean!.cpu().to(ScalarType.Float64, copy: true), (_squares! / (_count - 1)).cpu().to(ScalarType.Float64));
    }

    /// <summary>Whether every channel has at least two values, which a variance needs.</summary>
    public bool HasVariance => _count is not null && (_count > 1).all().item<bool>();

    public void Dispose()
    {
        _count?.Dispose();
        _mean?.Dispose();
        _squares?.Dispose();
    }

    private void Merge(Tensor count, Tensor mean, Tensor squares)
    {
        if (_count is not null)
        {
            var total = _count + count;
            var difference = mean - _mean!;
            var share = count / total.clamp(min: 1);
            squares = _squares! + squares + difference.square() * _count * share;
            mean = _mean! + difference * share;
            count = total;
            Dispose();
        }
        _count = count.DetachFromDisposeScope();
        _mean = mean.DetachFromDisposeScope();
        _squares = squares.DetachFromDisposeScope();
    }
}
