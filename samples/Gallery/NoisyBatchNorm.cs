using TorchStab;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using BatchNorm1d = TorchStab.Modules.BatchNorm1d;

namespace Gallery;

/// <summary>
/// BatchNorm whose output is shifted and scaled anew in every training step, so that distributions are anything but stable: Santurkar et al.
/// 2018, appendix A. For each unit a mean in ±<see cref="Shift"/> and a scale in 1 to <see cref="Scale"/> are drawn, and each sample of
/// the batch takes its own values around them.
/// </summary>
internal sealed class NoisyBatchNorm : Module<Tensor, Tensor>
{
    private const double Shift = 0.5, Scale = 1.25, Jitter = 0.1;
    private readonly BatchNorm1d norm;

    public NoisyBatchNorm(int units) : base(nameof(NoisyBatchNorm))
    {
        norm = stab.nn.BatchNorm1d(units);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var normalized = norm.call(input);
        if (!training) return normalized.MoveToOuterDisposeScope();
        long units = input.shape[1];
        var shift = empty(units).uniform_(-Shift, Shift) + empty(input.shape).uniform_(-Jitter, Jitter);
        var scale = empty(units).uniform_(1, Scale) + empty(input.shape).normal_(0, Jitter);
        return (normalized * scale + shift).MoveToOuterDisposeScope();
    }
}
