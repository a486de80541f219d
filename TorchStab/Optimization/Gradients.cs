using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Optimization;

/// <summary>Clears gradients.</summary>
internal static class Gradients
{
    public static void Clear(IEnumerable<Parameter> parameters, bool setToNone)
    {
        using var scope = NewDisposeScope();
        foreach (var p in parameters)
        {
            if (p.IsInvalid || p.grad is not { } gradient) continue;
            if (setToNone) p.grad = null;
            else gradient.detach_().fill_(Zero);
        }
    }
}
