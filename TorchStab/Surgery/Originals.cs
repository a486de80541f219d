using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// The original module of each replacement. The table is outside the model and keeps an entry as long as the replacement exists; the model's own tables hold
/// only what PyTorch's would.
/// </summary>
internal static class Originals
{
    private static readonly ConditionalWeakTable<nn.Module, nn.Module<Tensor, Tensor>> Table = [];

    /// <summary>Remembers the original; for a module that is exchanged twice, the first one.</summary>
    public static void Keep(nn.Module<Tensor, Tensor> old, nn.Module replacement) =>
        Table.Add(replacement, Of(old) ?? old);

    public static nn.Module<Tensor, Tensor>? Of(nn.Module replacement) => Table.TryGetValue(replacement, out var original) ? original : null;

    public static void Forget(nn.Module replacement) => Table.Remove(replacement);
}
