using TorchStab.Clipping;
using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Diagnostics;

/// <summary>y = x, whose gradient a monitor sees on its way.</summary>
internal sealed class WatchGradientNode(string name, GradientMonitor monitor) : LinearOp
{
    /// <summary>A new tensor of the same values; the caller's scope owns it.</summary>
    public static Tensor Apply(Tensor x, string name, GradientMonitor monitor)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(monitor);
        return new WatchGradientNode(name, monitor).Record(ScaleGradientNode.Same(x), x, null, null, []);
    }

    /// <inheritdoc/>
    protected override Tensor Transpose(NodeState state, Tensor outputGradient)
    {
        try
        {
            monitor.OnGradient(name, outputGradient);
        }
        catch (Exception)
        {
            // Looking must not stop the training: the report lacks this one.
        }
        return outputGradient.alias();
    }
}
