namespace TorchStab.Tests.Attacks;

/// <summary>What an attack asserts.</summary>
internal static class Expect
{
    /// <summary>The call raises the exception, or one derived from it, and its message contains every one of the words.</summary>
    public static T Throws<T>(Action call, params string[] words)
        where T : Exception
    {
        try
        {
            call();
        }
        catch (T e)
        {
            foreach (string word in words) True(e.Message.Contains(word, StringComparison.Ordinal), $"the message lacks '{word}': {e.Message}");
            return e;
        }
        throw new InvalidOperationException($"no {typeof(T).Name} was raised");
    }

    public static void True(bool condition, string otherwise)
    {
        if (!condition) throw new InvalidOperationException(otherwise);
    }

    /// <summary>Same shape, and no element further away than the tolerance, relative to the largest value (at least 1).</summary>
    public static void Close(TorchSharp.torch.Tensor expected, TorchSharp.torch.Tensor actual, double tolerance = 1e-5)
    {
        True(expected.shape.AsSpan().SequenceEqual(actual.shape),
            $"expected shape [{string.Join(", ", expected.shape)}], got [{string.Join(", ", actual.shape)}]");
        using var scope = TorchSharp.torch.NewDisposeScope();
        var (e, a) = (expected.detach().to(TorchSharp.torch.float64), actual.detach().to(TorchSharp.torch.float64));
        double scale = Math.Max(1, e.abs().max().item<double>()), error = (e - a).abs().max().item<double>();
        True(error <= tolerance * scale, $"the largest difference is {error:g3} of {scale:g3}");
    }
}
