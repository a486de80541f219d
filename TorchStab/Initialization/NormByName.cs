using System.Text.RegularExpressions;
using TorchStab.Dispatch;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Initialization;

/// <summary>
/// Recognizes norms that users write: the name of the type ends in “Norm”, and the only parameters are a scale and a shift of one axis and equal length.
/// A module with a matrix (weight normalization) or with a layer inside (ConvNorm, PreNorm) is not a norm in spite of its name.
/// </summary>
internal static partial class NormByName
{
    public static bool Is(nn.Module module)
    {
        if (module.GetType().Namespace == "TorchSharp.Modules" || !Name().IsMatch(module.GetType().Name)) return false;
        var own = module.named_parameters(false).ToList();
        if (own.Count == 0) return !module.children().Any();
        long length = own[0].parameter.NumberOfElements;
        return own.TrueForAll(p => p.name is "weight" or "bias" && HasOneAxis(p.parameter) && p.parameter.NumberOfElements == length);
    }

    /// <summary>
    /// The weight with which the norm does not scale: 1, or 0 for a norm that scales by 1 + weight, as in some language models. Found by running the norm
    /// with both; its parameters are restored afterwards.
    /// </summary>
    public static double NeutralScale(nn.Module module, Tensor weight)
    {
        if (module is not nn.Module<Tensor, Tensor> norm || module.children().Any() || !KernelSelection.HasMemory(weight)) return 1;
        using var scope = NewDisposeScope();
        bool training = module.training;
        var saved = module.named_parameters(false).Select(p => (p.parameter, value: p.parameter.clone())).ToList();
        try
        {
            norm.eval(); // does not change running statistics
            foreach (var (parameter, _) in saved) parameter.fill_(Zero);
            return Shapes(weight.NumberOfElements).Any(shape => AddsOne(norm, weight, shape)) ? 0 : 1;
        }
        finally
        {
            norm.train(training);
            foreach (var (parameter, value) in saved) parameter.copy_(value);
        }
    }

    // (c + weight)·x̂ with c = 1: twice as large with a weight of 1 as with 0.
    private static bool AddsOne(nn.Module<Tensor, Tensor> norm, Tensor weight, long[] shape)
    {
        var input = linspace(-1.5, 2, shape.Aggregate((a, b) => a * b), weight.dtype, weight.device).reshape(shape);
        try
        {
            var without = norm.forward(input.clone()).cpu().to(ScalarType.Float64);
            weight.fill_(One);
            var with = norm.forward(input.clone()).cpu().to(ScalarType.Float64);
            double size = with.abs().max().item<double>();
            return size > 0 && (with - 2 * without).abs().max().item<double>() < 1e-2 * size;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            return false; // the norm does not accept this shape
        }
        finally
        {
            weight.fill_(Zero);
        }
    }

    private static long[][] Shapes(long channels) => [[8, channels], [2, 4, channels], [8, channels, 3], [8, channels, 3, 3]];

    private static bool HasOneAxis(Tensor parameter) =>
        parameter.dim() is 1 or 3 or 4 && parameter.shape.Count(size => size != 1) <= 1;

    [GeneratedRegex(@"norm(relu)?(\dd)?$", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Name();
}
