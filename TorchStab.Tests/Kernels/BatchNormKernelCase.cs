using TorchStab.Dispatch;
using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

/// <summary>One run of a batch normalization on native memory, without libtorch. Shapes are (samples, channels, positions).</summary>
internal sealed unsafe class BatchNormKernelCase<Relu> : IDisposable where Relu : struct, IFlag
{
    private readonly ChannelForm _form;
    private readonly Element _element;
    private readonly (int Samples, int Channels, int Positions) _shape;
    private readonly NativeBuffer _x, _dy, _weight, _bias, _y, _dx, _dweight, _dbias, _statistics, _tables, _sums;
    private readonly int _blockRows, _blocks;

    public BatchNormKernelCase(ChannelForm form, Element element, (int Samples, int Channels, int Positions) shape, Func<int, double> input)
    {
        (_form, _element, _shape) = (form, element, shape);
        var random = new Random(1);
        int count = shape.Samples * shape.Channels * shape.Positions, rows = shape.Samples * shape.Positions;
        _x = new(element, Arrange(Fill(count, input)));
        _dy = new(element, Arrange(Fill(count, _ => random.NextDouble() - 0.4)));
        _weight = new(KernelInstances.Arithmetic(element), Fill(shape.Channels, _ => random.NextDouble() + 0.5));
        _bias = new(KernelInstances.Arithmetic(element), Fill(shape.Channels, _ => random.NextDouble() - 0.5));
        (_y, _dx) = (new(element, count), new(element, count));
        (_dweight, _dbias) = (new(KernelInstances.Arithmetic(element), shape.Channels), new(KernelInstances.Arithmetic(element), shape.Channels));
        _statistics = new(Element.Float64, 3 * shape.Channels);
        _blockRows = Math.Max(1, (rows + 2) / 3);
        _blocks = (rows + _blockRows - 1) / _blockRows;
        _tables = new(Element.Float64, 6 * shape.Channels);
        _sums = new(Element.Float64, 3 * _blocks * shape.Channels);
    }

    public Result Output => new(this, _y);

    public Result InputGradient => new(this, _dx);

    public NativeBuffer WeightGradient => _dweight;

    public NativeBuffer BiasGradient => _dbias;

    public void Forward(VectorWidth width, double eps, bool given)
    {
        var job = Job(eps, given);
        ref readonly var kernel = ref Instances<BatchNormKernel<Relu>>.Of(_element, (int)width);
        if (given) for (int c = 0; c < _shape.Channels; c++) BatchNormTerms<double>.Set(&job, c, 0.1, 2);
        if (given && _form != ChannelForm.Rows) ForwardGiven(job, kernel);
        else if (_form == ChannelForm.Planes) kernel.Forward(&job, 0, _shape.Channels);
        else if (_form == ChannelForm.Tiles) kernel.ForwardTiles(&job, 0, ChannelNormLaunch.Tiles(job));
        else
        {
            if (!given) kernel.Measure(&job, 0, _blocks);
            kernel.Merge(&job, 0, Groups);
            kernel.Normalize(&job, 0, _blocks);
        }
        AssertBorders();
    }

    // In two parts each, as two threads would.
    private void ForwardGiven(ChannelNormJob job, in BatchNormKernel<Relu> kernel)
    {
        kernel.Merge(&job, 0, Groups);
        kernel.GivenPlanes(&job, 0, 1);
        kernel.GivenPlanes(&job, 1, job.Samples * job.Channels);
    }

    public void Backward(VectorWidth width, bool given)
    {
        var job = Job(0, given);
        ref readonly var kernel = ref Instances<BatchNormKernel<Relu>>.Of(_element, (int)width);
        if (_form == ChannelForm.Planes) kernel.Backward(&job, 0, _shape.Channels);
        else if (_form == ChannelForm.Tiles) kernel.BackwardTiles(&job, 0, ChannelNormLaunch.Tiles(job));
        else
        {
            kernel.Sum(&job, 0, _blocks);
            kernel.MergeSums(&job, 0, Groups);
            kernel.Differentiate(&job, 0, _blocks);
        }
        AssertBorders();
    }

    /// <summary>What the reference makes of the same numbers, in the order (samples, channels, positions).</summary>
    public (double[] Output, double[] InputGradient, double[] WeightGradient, double[] BiasGradient, double Steepness) Expected(double eps, bool given = false)
    {
        var reference = new BatchNormReference(_shape.Samples, _shape.Channels, _shape.Positions, eps, Relu.IsSet);
        double[] x = Restore(_x), dy = Restore(_dy), weight = _weight.ToArray(), bias = _bias.ToArray();
        double[] y = new double[x.Length], dx = new double[x.Length], dweight = new double[weight.Length], dbias = new double[weight.Length];
        if (!given) reference.Measure(x);
        else
        {
            Array.Fill(reference.Mean, 0.1);
            Array.Fill(reference.Variance, 2);
        }
        reference.Forward(x, weight, bias, y);
        reference.Backward(x, dy, weight, bias, given, dx, dweight, dbias);
        return (y, dx, dweight, dbias, Math.Max(1, reference.Variance.Max(v => 1 / Math.Sqrt(v + eps))));
    }

    public void Dispose()
    {
        foreach (var buffer in new[] { _x, _dy, _weight, _bias, _y, _dx, _dweight, _dbias, _statistics, _tables, _sums }) buffer.Dispose();
    }

    private int Groups => (_shape.Channels + ChannelNormJob.MergeWidth - 1) / ChannelNormJob.MergeWidth;

    private ChannelNormJob Job(double eps, bool given) => new()
    {
        Input = _x.Pointer,
        Output = _y.Pointer,
        OutputGradient = _dy.Pointer,
        InputGradient = _dx.Pointer,
        Weight = _weight.Pointer,
        Bias = _bias.Pointer,
        WeightGradient = _dweight.Pointer,
        BiasGradient = _dbias.Pointer,
        Mean = (double*)_statistics.Pointer,
        Variance = (double*)_statistics.Pointer + _shape.Channels,
        InverseDeviation = (double*)_statistics.Pointer + (2 * _shape.Channels),
        Sums = (double*)_sums.Pointer,
        Tables = _tables.Pointer,
        Samples = _shape.Samples,
        Channels = _shape.Channels,
        Positions = _shape.Positions,
        Rows = (long)_shape.Samples * _shape.Positions,
        BlockRows = _blockRows,
        Blocks = _blocks,
        Epsilon = eps,
        HasStatistics = given,
        Stream = true,
    };

    private void AssertBorders()
    {
        foreach (var buffer in new[] { _y, _dx, _dweight, _dbias, _statistics, _tables, _sums }) buffer.AssertBorders($"{_form} {_shape}");
    }

    // channels_last in memory where rows are what is tried.
    private double[] Arrange(double[] values) => _form == ChannelForm.Rows ? Permute(values, _shape.Channels, _shape.Positions) : values;

    private double[] Restore(NativeBuffer buffer) => _form == ChannelForm.Rows
        ? Permute(buffer.ToArray(), _shape.Positions, _shape.Channels) : buffer.ToArray();

    // (samples, a, b) to (samples, b, a).
    private double[] Permute(double[] values, int a, int b)
    {
        double[] result = new double[values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            int sample = i / (a * b), p = i / b % a, q = i % b;
            result[(((sample * b) + q) * a) + p] = values[i];
        }
        return result;
    }

    private static double[] Fill(int count, Func<int, double> value) => [.. Enumerable.Range(0, count).Select(value)];

    /// <summary>An activation in the order of the reference.</summary>
    internal readonly struct Result(BatchNormKernelCase<Relu> of, NativeBuffer buffer)
    {
        public void AssertClose(double[] expected, double tolerance, string what)
        {
            using var ordered = new NativeBuffer(of._element, of.Restore(buffer));
            ordered.AssertClose(expected, tolerance, what);
        }
    }
}
