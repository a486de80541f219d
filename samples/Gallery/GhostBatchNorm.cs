using TorchStab;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using BatchNorm1d = TorchStab.Modules.BatchNorm1d;

namespace Gallery;

/// <summary>
/// BatchNorm over parts of a batch, each with statistics of its own (Hoffer et al. 2017): the smaller the part, the noisier they are, while
/// everything else of the training stays as it is.
/// </summary>
internal sealed class GhostBatchNorm : Module<Tensor, Tensor>
{
    private readonly int _part;
    private readonly BatchNorm1d norm;

    public GhostBatchNorm(int units, int part) : base(nameof(GhostBatchNorm))
    {
        _part = part;
        norm = stab.nn.BatchNorm1d(units);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        if (!training) return norm.call(input);
        using var scope = NewDisposeScope();
        return cat([.. input.split(_part).Select(part => norm.call(part))]).MoveToOuterDisposeScope();
    }
}
