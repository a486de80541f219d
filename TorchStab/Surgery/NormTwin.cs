using TorchStab.Modules;
using TorchStab.Normalization;
using static TorchSharp.torch;
using Host = TorchSharp.Modules;

namespace TorchStab.Surgery;

/// <summary>The counterpart for which a norm is exchanged: its type, which every slot must accept, and how to build it with the norm's tensors.</summary>
internal sealed record NormTwin(Type Type, Func<nn.Module<Tensor, Tensor>> Build)
{
    /// <summary>TorchStab's counterpart of a norm of TorchSharp; null for any other module.</summary>
    public static NormTwin? Of(nn.Module module) => module switch
    {
        Host.BatchNorm1d => new(typeof(BatchNorm1d), () => With(new BatchNorm1d(NormSpec.Of(module)!), module)),
        Host.BatchNorm2d => new(typeof(BatchNorm2d), () => With(new BatchNorm2d(NormSpec.Of(module)!), module)),
        Host.BatchNorm3d => new(typeof(BatchNorm3d), () => With(new BatchNorm3d(NormSpec.Of(module)!), module)),
        Host.InstanceNorm1d n => new(typeof(InstanceNorm1d), () => With(new InstanceNorm1d(Instance(n)), n)),
        Host.InstanceNorm2d n => new(typeof(InstanceNorm2d), () => With(new InstanceNorm2d(Instance(n)), n)),
        Host.InstanceNorm3d n => new(typeof(InstanceNorm3d), () => With(new InstanceNorm3d(Instance(n)), n)),
        Host.LayerNorm n => new(typeof(LayerNorm), () =>
            With(new LayerNorm(n.normalized_shape, n.eps, n.elementwise_affine, n.bias is not null, null, null), n)),
        // A GroupNorm without weights has no number of channels; any multiple of the number of groups works.
        Host.GroupNorm n => new(typeof(GroupNorm), () => With(new GroupNorm(n.num_groups, n.weight?.shape[0] ?? n.num_groups, n.eps, n.affine, null, null), n)),
        _ => null,
    };

    /// <summary>The BatchNormReLU for a BatchNorm of either library; null for any other module.</summary>
    public static NormTwin? WithReLU(nn.Module module) => module switch
    {
        Host.BatchNorm1d or BatchNorm1d => new(typeof(BatchNormReLU1d), () => With(new BatchNormReLU1d(NormSpec.Of(module)!), module)),
        Host.BatchNorm2d or BatchNorm2d => new(typeof(BatchNormReLU2d), () => With(new BatchNormReLU2d(NormSpec.Of(module)!), module)),
        Host.BatchNorm3d or BatchNorm3d => new(typeof(BatchNormReLU3d), () => With(new BatchNormReLU3d(NormSpec.Of(module)!), module)),
        _ => null,
    };

    /// <summary>A GroupNorm with the weights of a BatchNorm of either library, which was made as the spec says.</summary>
    public static NormTwin Grouped(nn.Module module, NormSpec spec, long groups) =>
        new(typeof(GroupNorm), () => With(new GroupNorm(groups, spec.Features, spec.Eps, spec.Affine, null, null), module));

    // TorchSharp's InstanceNorm without a momentum uses 0.1.
    private static NormSpec Instance(Host.InstanceNorm norm) => NormSpec.Of(norm)! with { Momentum = norm.momentum ?? 0.1 };

    /// <summary>Puts the tensors and the mode of the old module into the new one.</summary>
    private static AffineModule With(AffineModule twin, nn.Module norm)
    {
        NormState.Of(norm).PutInto(twin);
        twin.train(norm.training);
        return twin;
    }
}
