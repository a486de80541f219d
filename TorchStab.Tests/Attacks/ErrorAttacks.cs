using static TorchSharp.torch;

namespace TorchStab.Tests.Attacks;

/// <summary>Errors where they could cross native frames.</summary>
public static class ErrorAttacks
{
    /// <summary>An input changed in place before backward is autograd's usual error.</summary>
    [Attack]
    public static void InputChangedInPlace()
    {
        using var norm = stab.nn.LayerNorm(8);
        using var source = randn(4, 8, requires_grad: true);
        using var x = source * 1;
        using var y = norm.call(x);
        x.add_(1);
        Expect.Throws<Exception>(() => y.backward([ones_like(y)]));
    }
}
