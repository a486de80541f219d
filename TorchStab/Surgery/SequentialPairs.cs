using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>Two neighbours in a Sequential, and the slots of the Sequential that hold the second one.</summary>
internal sealed record SequentialPair(ModuleNode First, ModuleNode Second, IReadOnlyList<Slot> SecondSlots);

/// <summary>Finds modules that run one after the other: neighbours in a Sequential.</summary>
internal static class SequentialPairs
{
    /// <summary>All pairs of neighbours whose first module is held by this slot only, so that nothing else can read its output.</summary>
    public static IEnumerable<SequentialPair> Of(ModuleNode sequence, ObjectGraph graph)
    {
        if (!IsPlain(sequence.Module)) yield break;
        var children = sequence.Module.named_children().ToList();
        for (int k = 0; k + 1 < children.Count; k++)
        {
            if (graph.SlotsOf(children[k].module).Count != 1) continue;
            int next = k + 1;
            var slots = graph.SlotsOf(children[next].module).Where(s => s.Owner == sequence.Module && s.Holder is Array && s.Index == next).ToList();
            yield return new SequentialPair(
                sequence.Child(children[k].name, children[k].module), sequence.Child(children[next].name, children[next].module), slots);
        }
    }

    /// <summary>Whether a module runs its children one after the other: a derived class may have another forward.</summary>
    public static bool IsPlain(nn.Module module) =>
        module is Sequential && module.GetType().GetMethod(nameof(Sequential.forward), [typeof(Tensor)])!.DeclaringType == typeof(Sequential);
}
