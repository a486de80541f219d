using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>Two neighbours in a Sequential, with the places that hold the second one there.</summary>
internal sealed record SequentialPair(SurgeryNode First, SurgeryNode Second, IReadOnlyList<Slot> SecondSlots);

/// <summary>Neighbours whose order is known without reading code: a Sequential runs its children one after the other.</summary>
internal static class SequentialPairs
{
    /// <summary>All pairs of neighbours whose first one stands in this place only, so that nothing else can see its output.</summary>
    public static IEnumerable<SequentialPair> Of(SurgeryNode sequence, ObjectGraph graph)
    {
        if (!IsPlain(sequence.Module)) yield break;
        var children = sequence.Module.named_children().ToList();
        for (int k = 0; k + 1 < children.Count; k++)
        {
            if (graph.SlotsOf(children[k].module).Count != 1) continue;
            int next = k + 1;
            var slots = graph.SlotsOf(children[next].module).Where(s => s.Owner == sequence.Module && s.Holder is Array && s.Index == next).ToList();
            yield return new SequentialPair(Node(sequence, children[k]), Node(sequence, children[next]), slots);
        }
    }

    // A derived class may do something else in forward.
    public static bool IsPlain(nn.Module module) =>
        module is Sequential && module.GetType().GetMethod(nameof(Sequential.forward), [typeof(Tensor)])!.DeclaringType == typeof(Sequential);

    private static SurgeryNode Node(SurgeryNode parent, (string name, nn.Module module) child) =>
        new(parent.Path.Length == 0 ? child.name : $"{parent.Path}.{child.name}", child.name, child.module, parent.Module);
}
