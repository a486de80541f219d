using TorchSharp;
using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>
/// Updates of many parameters by one operation of libtorch for each device, dtype, factor of the gradients and age, where no kernel runs: on a GPU the
/// launches of single operations take longer than their arithmetic.
/// </summary>
/// <remarks>
/// A step does not write gradients, so gradients with a factor are copied: as many at a time as take a tenth of the memory of all parameters, or the largest
/// one alone. Parameters in half precision are updated in tensor operations, which compute in float32.
/// </remarks>
/// <param name="rule">Returns the update rule for a dtype.</param>
internal sealed unsafe class FusedStep(Func<ScalarType, FusedUpdate> rule)
{
    private readonly Dictionary<Key, List<StepMemory>> _groups = [];

    private readonly record struct Key(DeviceType Kind, int Index, ScalarType Dtype, double Factor, long Age);

    /// <summary>Adds a parameter; false if no fused operation updates it, so that the caller must use tensor operations.</summary>
    /// <param name="memory">Its tensors, which the caller keeps reachable until <see cref="Run()"/>.</param>
    /// <param name="parameter">The parameter.</param>
    /// <param name="factor">The factor of its gradient.</param>
    /// <param name="bound">The bound of its gradient's elements; only infinity is supported.</param>
    /// <param name="age">The number of this update, counted from 1.</param>
    public bool TryAdd(in StepMemory memory, Tensor parameter, double factor, double bound, long age)
    {
        if (!double.IsPositiveInfinity(bound) || !KernelSelection.TakesFused(memory)) return false;
        if (!rule(parameter.dtype).Works(parameter.device)) return false;
        var key = new Key(parameter.device_type, parameter.device_index, parameter.dtype, factor, age);
        if (!_groups.TryGetValue(key, out var group)) _groups.Add(key, group = []);
        group.Add(memory);
        return true;
    }

    /// <summary>Updates the parameters that were added.</summary>
    public void Run()
    {
        foreach (var (key, group) in _groups)
        {
            using var scope = NewDisposeScope();
            var device = new Device(key.Kind, key.Index);
            var age = tensor((float)key.Age, device: device);
            var factor = key.Factor == 1 ? null : tensor(key.Factor, dtype: key.Dtype, device: device);
            foreach (var part in factor is null ? [group] : Parts(group)) Run(rule(key.Dtype), part, age, key.Age == 1, factor);
        }
    }

    private static void Run(FusedUpdate update, List<StepMemory> part, Tensor age, bool isFirst, Tensor? factor)
    {
        nint[] gradients = Handles(part, m => m.Gradient.Handle);
        nint[]? scaled = factor is null ? null : Scaled(gradients, factor);
        try
        {
            update.Run(new(Handles(part, m => m.Parameter.Handle), scaled ?? gradients, Handles(part, m => m.State0.Handle),
                Handles(part, m => m.State1.Handle), Handles(part, m => m.State2.Handle), age.Handle, isFirst));
        }
        finally
        {
            foreach (nint copy in scaled ?? []) LibTorch.Dispose(copy);
        }
        foreach (var memory in part) TensorMemory.MarkWritten(memory.Parameter.Handle); // libtorch's operations on lists leave the counters
    }

    private static nint[] Scaled(nint[] gradients, Tensor factor)
    {
        var call = new NativeCall();
        call.Add(gradients);
        call.Add(factor.Handle);
        call.Run("aten::_foreach_mul\0"u8, "Tensor\0"u8);
        return call.TakeList(0);
    }

    // The largest first, each into the first part that has room for it.
    private static List<List<StepMemory>> Parts(List<StepMemory> group)
    {
        var sizes = group.ConvertAll(m => LibTorch.Numel(m.Parameter.Handle));
        long room = Math.Max((sizes.Sum() / 10) + 1, sizes.Max());
        List<(List<StepMemory> Members, long Size)> parts = [];
        foreach (int i in Enumerable.Range(0, group.Count).OrderByDescending(i => sizes[i]))
        {
            int k = parts.FindIndex(p => p.Size + sizes[i] <= room);
            if (k < 0) parts.Add(([group[i]], sizes[i]));
            else
            {
                parts[k].Members.Add(group[i]);
                parts[k] = (parts[k].Members, parts[k].Size + sizes[i]);
            }
        }
        return parts.ConvertAll(p => p.Members);
    }

    private static nint[] Handles(List<StepMemory> part, Func<StepMemory, nint> of) => [.. part.Select(of).Where(handle => handle != 0)];
}
