using TorchStab.Dispatch;
using TorchStab.Kernels;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Kernels;

/// <summary>One run of a norm over rows: forward, backward and merge on native memory, without libtorch.</summary>
internal sealed unsafe class RowNormKernelCase<Centre> : IDisposable where Centre : struct, IFlag
{
    private readonly Element _element;
    private readonly int _rows, _columns;
    private readonly NativeBuffer _mean, _deviation;

    public RowNormKernelCase(Element element, int rows, int columns, Func<int, double> input, int seed)
    {
        (_element, _rows, _columns) = (element, rows, columns);
        var random = new Random(seed);
        Input = new(element, Fill(rows * columns, input));
        Weight = new(KernelInstances.Arithmetic(element), Fill(columns, _ => 1 + random.NextDouble()));
        Bias = new(KernelInstances.Arithmetic(element), Fill(columns, _ => random.NextDouble() - 0.5));
        Gradient = new(element, Fill(rows * columns, _ => (2 * random.NextDouble()) - 1));
        Output = new(element, rows * columns);
        InputGradient = new(element, rows * columns);
        WeightGradient = new(KernelInstances.Arithmetic(element), columns);
        BiasGradient = new(KernelInstances.Arithmetic(element), columns);
        _mean = new(Element.Float64, rows);
        _deviation = new(Element.Float64, rows);
    }

    public NativeBuffer Input { get; }
    public NativeBuffer Weight { get; }
    public NativeBuffer Bias { get; }
    public NativeBuffer Gradient { get; }
    public NativeBuffer Output { get; }
    public NativeBuffer InputGradient { get; }
    public NativeBuffer WeightGradient { get; }
    public NativeBuffer BiasGradient { get; }

    public void Run(VectorWidth width, double eps, int blockRows, bool stream = false)
    {
        var job = new RowNormJob
        {
            Input = Input.Pointer,
            Output = Output.Pointer,
            Weight = Weight.Pointer,
            Bias = Bias.Pointer,
            OutputGradient = Gradient.Pointer,
            InputGradient = InputGradient.Pointer,
            WeightGradient = WeightGradient.Pointer,
            BiasGradient = BiasGradient.Pointer,
            Mean = (double*)_mean.Pointer,
            InverseDeviation = (double*)_deviation.Pointer,
            Rows = _rows,
            Columns = _columns,
            BlockRows = blockRows,
            Blocks = (_rows + blockRows - 1) / blockRows,
            Epsilon = eps,
            Stream = stream,
        };
        using var partial = new NativeBuffer(KernelInstances.Arithmetic(_element), 4 * job.Blocks * _columns);
        job.Partial = partial.Pointer;
        ref readonly var kernel = ref Instances<RowNormKernel<Centre>>.Of(_element, (int)width);
        kernel.Forward(&job, 0, _rows);
        kernel.Backward(&job, 0, job.Blocks);
        kernel.Merge(&job, 0, (_columns + RowNormMerge.Tile - 1) / RowNormMerge.Tile);
        partial.AssertBorders("partial sums");
    }

    public void Dispose()
    {
        foreach (var buffer in new[] { Input, Weight, Bias, Gradient, Output, InputGradient, WeightGradient, BiasGradient, _mean, _deviation })
            buffer.Dispose();
    }

    private static double[] Fill(int count, Func<int, double> value) => [.. Enumerable.Range(0, count).Select(value)];
}
