namespace TorchStab.Initialization;

/// <summary>The factor on a layer's weights that compensates the change of variance by the function after it.</summary>
internal static class Gain
{
    public static double Of(Nonlinearity nonlinearity, double? param) => nonlinearity switch
    {
        >= Nonlinearity.Linear and <= Nonlinearity.Sigmoid => 1,
        Nonlinearity.Tanh => 5.0 / 3,
        Nonlinearity.ReLU => Math.Sqrt(2),
        Nonlinearity.LeakyReLU => LeakyReLU(param ?? 0.01),
        Nonlinearity.SELU => 3.0 / 4,
        _ => throw new ArgumentException($"Unsupported nonlinearity {nonlinearity}", nameof(nonlinearity)),
    };

    private static double LeakyReLU(double slope) => Math.Sqrt(2 / (1 + slope * slope));
}
