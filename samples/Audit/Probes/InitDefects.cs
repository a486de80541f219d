using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Audit.Probes;

internal static class InitDefects
{
    public static IReadOnlyList<Defect> All { get; } =
    [
        new("xavier_normal_ draws from a uniform distribution", "stab.nn.init.xavier_normal_", XavierNormal),
        new("trunc_normal_ fills with one constant", "stab.nn.init.trunc_normal_", TruncNormal),
        new("a generator is ignored", "generator honoured by every stab.nn.init function", Generator),
        new("leaky ReLU's default slope is 0 in calculate_gain", "stab.nn.init.calculate_gain: 0.01", Gain),
        new("dirac_ and SELU's gain are incomplete", "stab.nn.init.dirac_(groups), Nonlinearity.SELU", Missing),
    ];

    private static string? XavierNormal()
    {
        double bound = Math.Sqrt(6.0 / 600), largest = init.xavier_normal_(empty(300, 300)).abs().max().item<float>();
        return largest <= bound ? $"90,000 draws within ±{largest:0.0000}, a uniform distribution's bound" : null;
    }

    private static string? TruncNormal()
    {
        using var _ = no_grad();
        double sigma = init.trunc_normal_(zeros(1000), 0, 0.02).std().item<float>();
        return sigma < 0.001 ? $"σ {sigma:0.000} instead of 0.02" : null;
    }

    private static string? Generator()
    {
        Tensor Draw() => init.normal_(empty(10), generator: new Generator(7, CPU));
        return Draw().equal(Draw()).all().item<bool>() ? null : "one seed, two different tensors";
    }

    private static string? Gain()
    {
        double gain = init.calculate_gain(init.NonlinearityType.LeakyReLU);
        return Math.Abs(gain - Math.Sqrt(2 / (1 + 1e-4))) < 1e-7 ? null : $"{gain:0.000000}, not 1.414143";
    }

    private static string? Missing()
    {
        bool groups = typeof(init).GetMethods().Any(m => m.Name == nameof(init.dirac_) && m.GetParameters().Any(p => p.Name == "groups"));
        bool selu = Enum.GetNames<init.NonlinearityType>().Contains("SELU", StringComparer.OrdinalIgnoreCase);
        return groups && selu ? null : string.Join(" and ", new[] { groups ? null : "no groups", selu ? null : "no SELU" }.Where(s => s is not null));
    }
}
