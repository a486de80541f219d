using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Numbers that are computed on the devices of tensors and read later, all at once. Reading waits until the device has computed them, and one wait for
/// many numbers costs as much as one for each.
/// </summary>
internal sealed class DeviceNumbers : IDisposable
{
    private readonly List<(Tensor Number, Action<double> Set)> _pending = [];

    /// <summary>Keeps a number without dimensions, which it owns from now on. <see cref="Read()"/> passes its value on.</summary>
    public void Add(Tensor number, Action<double> set) => _pending.Add((number.DetachFromDisposeScope(), set));

    /// <summary>Takes over the numbers of another list.</summary>
    public void TakeOver(DeviceNumbers other)
    {
        _pending.AddRange(other._pending);
        other._pending.Clear();
    }

    /// <summary>Reads the numbers and passes them on, in the order in which they were added. Then the list is empty.</summary>
    public void Read()
    {
        if (_pending.Count == 0) return;
        double[] values;
        try
        {
            values = Read(_pending.ConvertAll(p => p.Number));
        }
        catch
        {
            Dispose();
            throw;
        }
        var setters = _pending.ConvertAll(p => p.Set);
        Dispose();
        for (int i = 0; i < values.Length; i++) setters[i](values[i]);
    }

    /// <summary>Drops the numbers that were not read.</summary>
    public void Dispose()
    {
        _pending.ForEach(p => p.Number.Dispose());
        _pending.Clear();
    }

    /// <summary>Reads many numbers from their device at once.</summary>
    public static double[] Read(IReadOnlyList<Tensor> numbers) => Read(numbers, static n => stack(n));

    /// <summary>Reads the elements of many vectors from their device at once, one vector after the other.</summary>
    public static double[] ReadAll(IReadOnlyList<Tensor> vectors) => Read(vectors, static v => v.Count == 1 ? v[0] : cat(v));

    private static double[] Read(IReadOnlyList<Tensor> tensors, Func<IList<Tensor>, Tensor> join)
    {
        if (tensors.Count == 0) return [];
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var device = tensors[0].device;
        // Not every device has float64: the conversion to it is done on the CPU.
        var dtype = tensors.Any(n => n.dtype == ScalarType.Float64) ? ScalarType.Float64 : ScalarType.Float32;
        var joined = join(tensors.Select(n => n.to(dtype, device)).ToArray());
        return joined.to(CPU).to(ScalarType.Float64).data<double>().ToArray();
    }
}
