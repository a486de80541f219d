using TorchSharp;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Dispatch;

/// <summary>What clipping does to one gradient: g' = clamp(factor · g, −bound, bound) · unit scale.</summary>
/// <param name="Factor">The factor.</param>
/// <param name="Bound">The largest magnitude of an element; infinity if nothing is clamped.</param>
/// <param name="UnitScale">The handle of a tensor that broadcasts over the gradient; 0 if there is none.</param>
internal readonly record struct FusedClip(double Factor, double Bound, nint UnitScale);

/// <summary>
/// Updates of many parameters by operations of libtorch on lists, one for each device, dtype, clipping of the gradients and age, where no kernel runs: on a GPU
/// the launches of single operations take longer than their arithmetic.
/// </summary>
/// <remarks>
/// A step does not write gradients, so gradients that are clipped are copied; so are gradients and parameters in half precision, to float32, in which
/// their update is computed. A master copy is updated in a parameter's place. Each of these copies, and of an update's temporary tensors, holds at a time as
/// many elements as a tenth of all parameters, or the largest one alone.
/// </remarks>
/// <param name="rule">Returns the update rule for the dtype of the arithmetic.</param>
internal sealed unsafe class FusedStep(Func<ScalarType, FusedUpdate> rule)
{
    private readonly Dictionary<Key, List<Member>> _groups = [];

    private readonly record struct Key(DeviceType Kind, int Index, ScalarType Dtype, bool HasMaster, double Bound, long Age);

    private readonly struct Member(in StepMemory memory, in FusedClip clip)
    {
        public readonly StepMemory Memory = memory;
        public readonly FusedClip Clip = clip;
    }

    /// <summary>Adds a parameter; false if no operation on lists updates it, so that the caller must use tensor operations.</summary>
    /// <param name="memory">Its tensors, which the caller keeps reachable until <see cref="Run()"/>.</param>
    /// <param name="parameter">The parameter.</param>
    /// <param name="clip">What clipping does to its gradient.</param>
    /// <param name="age">The number of this update, counted from 1.</param>
    public bool TryAdd(in StepMemory memory, Tensor parameter, FusedClip clip, long age)
    {
        if (!KernelSelection.TakesFused(memory, clip.UnitScale)) return false;
        var dtype = KernelSelection.FusedDtype(parameter.dtype);
        var update = rule(dtype);
        if (!update.Works(parameter.device)) return false;
        // libtorch refuses a bound that is no number of the dtype; it would clip nothing.
        double bound = clip.Bound <= KernelSelection.Largest(dtype) ? clip.Bound : double.PositiveInfinity;
        var key = new Key(parameter.device_type, parameter.device_index, parameter.dtype, !memory.Master.IsMissing, bound, age);
        if (!_groups.TryGetValue(key, out var group)) _groups.Add(key, group = []);
        group.Add(new(memory, clip with { Factor = update.Reverses ? -clip.Factor : clip.Factor, Bound = bound }));
        return true;
    }

    /// <summary>Updates the parameters that were added.</summary>
    public void Run()
    {
        foreach (var (key, group) in _groups)
        {
            using var scope = NewDisposeScope();
            var (device, dtype) = (new Device(key.Kind, key.Index), KernelSelection.FusedDtype(key.Dtype));
            var update = rule(dtype);
            var age = tensor(update.AgeOf(key.Age), device: device);
            using var numbers = new StepNumbers(dtype, device);
            if (key.Dtype == dtype && update.Penalty == 0 && group.TrueForAll(m => m.Clip is { Factor: 1, Bound: double.PositiveInfinity, UnitScale: 0 }))
            {
                update.Begin(Tensors(group));
                foreach (var part in update.HasTemporaries ? Parts(group) : [group]) update.Run(Tensors(part));
            }
            else foreach (var part in Parts(group)) RunOnCopies(update, key, Tensors(part), part.ConvertAll(m => m.Clip));
            foreach (var member in group) TensorMemory.MarkWritten(member.Memory.Parameter.Handle); // libtorch's operations on lists leave the counters

            FusedTensors Tensors(List<Member> part) => new(Handles(part, m => m.Parameter.Handle), Handles(part, m => m.Gradient.Handle),
                Handles(part, m => m.State0.Handle), Handles(part, m => m.State1.Handle), Handles(part, m => m.State2.Handle),
                Handles(part, m => m.Master.Handle), age.Handle, key.Age == 1, numbers);
        }
    }

    private static void RunOnCopies(FusedUpdate update, Key key, in FusedTensors tensors, List<FusedClip> clips)
    {
        using var scope = NewDisposeScope(); // frees the copies of this part before the next ones are made
        var copies = Copies(key, tensors, [.. clips.Select(c => c.Factor)]);
        int[] inUnits = [.. Enumerable.Range(0, clips.Count).Where(i => clips[i].UnitScale != 0)];
        if (inUnits.Length > 0) Foreach.Multiply([.. inUnits.Select(i => copies.Gradients[i])], [.. inUnits.Select(i => clips[i].UnitScale)]);
        if (update.Penalty != 0) // g ← g + λp: a step of SGD
            new FusedSGD(-update.Penalty, 0, 0, 0, false, false).Run(copies with { Parameters = copies.Gradients, Gradients = copies.Parameters });
        update.Begin(copies);
        update.Run(copies);
        if (key.HasMaster) Foreach.Copy(tensors.Masters, copies.Parameters);
        if (key.Dtype != tensors.Numbers.Dtype) Foreach.Copy(tensors.Parameters, copies.Parameters);
    }

    // Clipped copies of the gradients; copies of parameters in half precision, or of their master copies.
    private static FusedTensors Copies(Key key, in FusedTensors t, double[] factors)
    {
        int count = factors.Length;
        bool isHalf = key.Dtype != t.Numbers.Dtype, isUniform = Array.TrueForAll(factors, f => f == factors[0]);
        bool isBounded = !double.IsPositiveInfinity(key.Bound);
        if (isUniform && factors[0] != 1 && !isHalf && !isBounded)
            return t with { Gradients = TemporaryTensors.Products(t.Gradients, factors[0], t.Numbers).Each };
        var copies = isHalf ? TemporaryTensors.Copies([.. t.Gradients, .. t.Parameters, .. t.Masters], t.Numbers)
            : isUniform ? TemporaryTensors.Copies(t.Gradients, t.Numbers) : null;
        var clipped = isUniform ? new(copies!.Each[..count], copies.All!.narrow(0, 0, TemporaryTensors.Count(t.Gradients)))
            : TemporaryTensors.Products(copies is null ? t.Gradients : copies.Each[..count], factors, t.Numbers);
        if (isUniform && factors[0] != 1) clipped.All!.mul_(Held(factors[0]));
        if (isBounded) clipped.All!.clamp_(Held(-key.Bound), Held(key.Bound));
        return t with
        {
            Gradients = clipped.Each,
            Parameters = key.HasMaster ? Masters(key, t, copies!) : isHalf ? copies!.Each[count..] : t.Parameters,
        };
    }

    // The master copies with the elements that were written into the parameters since the last update: see MomentState.CurrentMaster.
    private static nint[] Masters(Key key, in FusedTensors t, TemporaryTensors copies)
    {
        long elements = TemporaryTensors.Count(t.Masters);
        Tensor parameters = copies.All!.narrow(0, elements, elements), masters = copies.All.narrow(0, 2 * elements, elements);
        return TemporaryTensors.Joined(where(masters.to(key.Dtype).eq(parameters), masters, parameters), t.Masters).Each;
    }

    // The largest first, each into the first part that has room for it.
    private static List<List<Member>> Parts(List<Member> group)
    {
        var sizes = group.ConvertAll(m => LibTorch.Numel(m.Memory.Parameter.Handle));
        long room = Math.Max((sizes.Sum() / 10) + 1, sizes.Max());
        List<(List<Member> Members, long Size)> parts = [];
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

    private static nint[] Handles(List<Member> part, Func<StepMemory, nint> of) => [.. part.Select(m => of(m.Memory)).Where(handle => handle != 0)];
}
