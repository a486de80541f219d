using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Support;

/// <summary>The state file of an optimizer in memory: for <c>using static</c>.</summary>
internal static class OptimizerFile
{
    public static byte[] Save(optim.Optimizer optimizer)
    {
        using var file = new MemoryStream();
        var writer = new BinaryWriter(file);
        if (optimizer is ClippedOptimizer wrapped) wrapped.save_state_dict(writer);
        else ((ClippingAwareOptimizer)optimizer).save_state_dict(writer);
        return file.ToArray();
    }

    public static void Load(ClippingAwareOptimizer optimizer, byte[] file) => optimizer.load_state_dict(new BinaryReader(new MemoryStream(file)));
}
