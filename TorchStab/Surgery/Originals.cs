using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// What stood where a module stands now. Kept outside the model, as long as the new module lives: the model's own tables hold nothing
/// that PyTorch would not.
/// </summary>
internal static class Originals
{
    private static readonly ConditionalWeakTable<nn.Module, nn.Module<Tensor, Tensor>> Table = [];

    /// <summary>A module exchanged twice goes back to the first.</summary>
    public static void Keep(nn.Module<Tensor, Tensor> old, nn.Module replacement) =>
        Table.Add(replacement, Of(old) ?? old);

    public static nn.Module<Tensor, Tensor>? Of(nn.Module replacement) => Table.TryGetValue(replacement, out var original) ? original : null;

    public static void Forget(nn.Module replacement) => Table.Remove(replacement);
}
