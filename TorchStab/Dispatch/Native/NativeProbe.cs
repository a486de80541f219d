using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>The norms that have fused operations in libtorch.</summary>
internal enum NativeNorm
{
    Batch,
    Group,
    Layer,
    RMS,
}

/// <summary>
/// Whether libtorch's fused operations for a norm can be used on a kind of device: they are called once on tiny tensors, forward and backward, and must give
/// the numbers of the equation. An operation that libtorch lacks or refuses prints its message once.
/// </summary>
internal static unsafe class NativeProbe
{
    private const double Epsilon = 0.5, Momentum = 0.25, Tolerance = 1e-4;
    private const int MostDevices = 64;

    private enum Answer : byte
    {
        Unknown,
        Works,
        Fails,
    }

    private static readonly Answer[,] Known = new Answer[Enum.GetValues<NativeNorm>().Length, MostDevices];

    /// <summary>Asked at every call; tried at the first.</summary>
    public static bool Works(NativeNorm norm, Tensor input)
    {
        ref var answer = ref Known[(int)norm, (int)input.device_type];
        if (answer == Answer.Unknown) answer = Try(norm, input.device) ? Answer.Works : Answer.Fails;
        return answer == Answer.Works;
    }

    private static bool Try(NativeNorm norm, Device device)
    {
        using var scope = NewDisposeScope();
        using var inference = inference_mode(false);
        using var gradients = enable_grad(); // a state keeps statistics only for a call that is recorded
        try
        {
            return Agrees(norm, device, training: true) && (norm != NativeNorm.Batch || Agrees(norm, device, training: false));
        }
        catch (Exception)
        {
            return false;
        }
    }

    private static bool Agrees(NativeNorm norm, Device device, bool training)
    {
        long[] parameter = norm is NativeNorm.Layer or NativeNorm.RMS ? [3] : [4];
        Tensor x = Numbers(1, 2, 4, 3), gradient = Numbers(2, 2, 4, 3), weight = Numbers(3, parameter), bias = Numbers(4, parameter), mean = Numbers(5, 4),
            variance = Numbers(6, 4);
        Tensor[] expected = [.. Equation(norm, training, x, gradient, weight, bias, mean, variance)];
        Tensor On(Tensor t) => t.to(ScalarType.Float32).to(device);
        var (runningMean, runningVariance) = (On(mean), On(variance));
        var offset = norm == NativeNorm.RMS ? null : On(bias).requires_grad_();
        List<Tensor> actual = Call(norm, training, On(x).requires_grad_(), On(gradient), On(weight).requires_grad_(), offset, runningMean, runningVariance);
        if (norm == NativeNorm.Batch) actual.AddRange([runningMean, runningVariance]);
        return actual.Zip(expected).All(pair => (pair.First.cpu().to(ScalarType.Float64) - pair.Second).abs().max().item<double>() < Tolerance);
    }

    private static Tensor Numbers(int seed, params long[] shape) =>
        (arange(shape.Aggregate((a, b) => a * b), ScalarType.Float64, CPU) * seed).sin().square().reshape(shape) + 0.5;

    // The output and the gradients of input, weight and bias, then the running mean and variance.
    private static IEnumerable<Tensor> Equation(NativeNorm norm, bool training, Tensor x, Tensor gradient, Tensor weight, Tensor bias,
        Tensor mean, Tensor variance)
    {
        bool rows = norm is NativeNorm.Layer or NativeNorm.RMS;
        long[] shape = x.shape, channel = rows ? [1, 1, 3] : [1, 4, 1], others = rows ? [0, 1] : [0, 2];
        long[] view = norm == NativeNorm.Group ? [2, 2, 2, 3] : shape, dims = norm switch { NativeNorm.Batch => [0, 2], NativeNorm.Group => [2, 3], _ => [2] };
        Tensor v = x.view(view), about = norm == NativeNorm.RMS ? zeros_like(v) : training ? Mean(v) : mean.view(channel);
        Tensor spread = training ? Mean((v - about).square()) : variance.view(channel), rate = (spread + Epsilon).rsqrt(), standardized = (v - about) * rate;
        yield return standardized.view(shape) * weight.view(channel) + (norm == NativeNorm.RMS ? 0 : bias.view(channel));
        var d = (gradient * weight.view(channel)).view(view);
        if (training) d = d - standardized * Mean(d * standardized) - (norm == NativeNorm.RMS ? 0 : Mean(d));
        yield return (d * rate).view(shape);
        yield return (gradient * standardized.view(shape)).sum(others);
        yield return gradient.sum(others);
        yield return training ? mean * (1 - Momentum) + about.flatten()[..4] * Momentum : mean;
        yield return training ? variance * (1 - Momentum) + spread.flatten()[..4] * (Momentum * 6 / 5) : variance;

        Tensor Mean(Tensor values) => values.mean(dims, keepdim: true);
    }

    private static List<Tensor> Call(NativeNorm norm, bool training, Tensor x, Tensor gradient, Tensor weight, Tensor? bias, Tensor mean, Tensor variance)
    {
        using var state = AutogradPlug.Begin(Trial.Op, x, weight, bias);
        (state.Epsilon, state.Training) = (Epsilon, training);
        if (norm is NativeNorm.Layer or NativeNorm.RMS) state.NormalizedShape = [3];
        else state.Channels(norm == NativeNorm.Group ? 2 : 0);
        bool centred = norm != NativeNorm.RMS;
        List<Tensor> results = [Tensor.UnsafeCreateTensor(norm switch
        {
            NativeNorm.Batch when training => BatchNormNative.Train(state, mean, variance, Momentum, relu: false),
            NativeNorm.Batch => BatchNormNative.Evaluate(state, mean, variance, relu: false),
            NativeNorm.Group => GroupNormNative.Forward(state, channelsLast: false),
            _ => RowNormNative.Forward(state, centred),
        })];
        if (!RowNormNative.HasBackward(centred, x.Handle)) return results;
        Handles gradients = default;
        if (norm == NativeNorm.Batch) BatchNormNative.Backward(state, gradient.Handle, state.Inputs, ref gradients);
        else if (norm == NativeNorm.Group) GroupNormNative.Backward(state, gradient.Handle, state.Inputs, ref gradients);
        else RowNormNative.Backward(state, centred, gradient.Handle, state.Inputs, ref gradients);
        results.AddRange([Tensor.UnsafeCreateTensor(gradients.Input), Tensor.UnsafeCreateTensor(gradients.Weight)]);
        if (bias is not null) results.Add(Tensor.UnsafeCreateTensor(gradients.Bias));
        return results;
    }

    /// <summary>An op that is never in a graph.</summary>
    private sealed class Trial : GraphOp
    {
        public static readonly Trial Op = new();

        public override void Backward(NodeState state, nint outputGradient, in Handles saved, ref Handles gradients) => throw new NotSupportedException();

        public override (Tensor? Input, Tensor? Weight, Tensor? Bias) BackwardInTensorOps(NodeState state, Tensor outputGradient, Tensor input,
            Tensor? weight, Tensor? bias) =>
            throw new NotSupportedException();
    }
}
