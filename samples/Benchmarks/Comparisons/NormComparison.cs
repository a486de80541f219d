using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>A norm's forward and backward pass, or forward alone, on both sides: fresh tensors each time, as in a training step.</summary>
internal abstract class NormComparison : IComparison
{
    private const double Agreement = 1e-4;

    public abstract string Name { get; }

    public IEnumerable<Pair> Cases(bool quick) => quick ? Norms().Take(1) : Norms();

    /// <summary>The cases, the smallest first.</summary>
    protected abstract IEnumerable<Pair> Norms();

    /// <summary>Gradients of the input and of every parameter: x and dy are read and y and dx written, five times an activation at least.</summary>
    protected static Pair Training(string name, Func<Tensor, Tensor> theirs, Func<Tensor, Tensor> ours, Parameters parameters, long[] shape,
        double atLeast, double aim, bool channelsLast = false)
    {
        var x = Input(shape, channelsLast).requires_grad_(true);
        var dy = Input(shape, channelsLast);
        Tensor[] theirInputs = [x, .. parameters.Theirs], ourInputs = [x, .. parameters.Ours];
        return new(name, () => Discard(Gradients(theirs, theirInputs, dy)), () => Discard(Gradients(ours, ourInputs, dy)), 5 * sizeof(float) * x.numel(),
            atLeast, aim, Verify, Release);

        IList<Tensor> Gradients(Func<Tensor, Tensor> norm, Tensor[] inputs, Tensor upstream)
        {
            using var y = norm(x);
            return autograd.grad([y], inputs, [upstream]);
        }

        void Verify()
        {
            using var scope = NewDisposeScope();
            Tensor expected = theirs(x), actual = ours(x);
            Compare(name, expected, actual);
            // Where a relu follows, the two may stand on different sides of its kink, by rounding alone: only one of them passes a gradient on there.
            var upstream = dy * (expected.sign() == actual.sign());
            foreach (var (a, b) in Gradients(theirs, theirInputs, upstream).Zip(Gradients(ours, ourInputs, upstream))) Compare(name, a, b);
        }

        void Release()
        {
            x.Dispose();
            dy.Dispose();
            parameters.Dispose();
        }
    }

    /// <summary>The forward pass without gradients: x is read and y written.</summary>
    protected static Pair Inference(string name, Func<Tensor, Tensor> theirs, Func<Tensor, Tensor> ours, Parameters parameters, long[] shape,
        double atLeast, double aim)
    {
        var x = Input(shape, channelsLast: false);
        return new(name, () => Run(theirs), () => Run(ours), 2 * sizeof(float) * x.numel(), atLeast, aim, Verify, Release);

        void Run(Func<Tensor, Tensor> norm)
        {
            using var _ = no_grad();
            norm(x).Dispose();
        }

        void Verify()
        {
            using var scope = NewDisposeScope();
            Compare(name, theirs(x), ours(x));
        }

        void Release()
        {
            x.Dispose();
            parameters.Dispose();
        }
    }

    private static Tensor Input(long[] shape, bool channelsLast)
    {
        using var scope = NewDisposeScope();
        var x = channelsLast ? randn(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2) : randn(shape);
        return x.MoveToOuterDisposeScope();
    }

    private static void Discard(IList<Tensor> tensors)
    {
        foreach (var tensor in tensors) tensor.Dispose();
    }

    private static void Compare(string name, Tensor expected, Tensor actual)
    {
        double scale = Math.Max(1, expected.abs().max().item<float>()), worst = (expected - actual).abs().max().item<float>();
        if (!(worst <= Agreement * scale)) throw new InvalidOperationException($"{name}: the two sides differ by {worst} of {scale}");
    }

    /// <summary>The parameters of both sides, and what owns them.</summary>
    protected sealed record Parameters(Tensor[] Theirs, Tensor[] Ours, params IDisposable[] Owners) : IDisposable
    {
        public static Parameters Of(nn.Module theirs, nn.Module ours) => new([.. theirs.parameters()], [.. ours.parameters()], theirs, ours);

        public void Dispose()
        {
            foreach (var owner in Owners) owner.Dispose();
        }
    }
}
