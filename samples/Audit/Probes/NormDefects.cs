using static TorchSharp.torch;

namespace Audit.Probes;

internal static class NormDefects
{
    public static IReadOnlyList<Defect> All { get; } =
    [
        new("BatchNorm trains on one value per channel", "stab.nn.BatchNorm1d: PyTorch's error, or SingleValuePolicy", OneValue),
        new("a bfloat16 BatchNorm stops counting batches", "stab.nn.BatchNorm1d: int64 counter", Counter),
        new("momentum null is refused by the constructor", "stab.nn.BatchNorm1d(momentum: null)", NullMomentum),
        new("GroupNorm starts with uninitialised weights", "stab.nn.GroupNorm: ones and zeros", GroupNormWeights),
        new("GroupNorm refuses (N, C)", "stab.nn.GroupNorm: what PyTorch accepts", GroupNormRank),
        new("GroupNorm takes channels that its groups do not divide", "stab.nn.GroupNorm: an error", GroupNormGroups),
        new("InstanceNorm trains on one spatial element", "stab.nn.InstanceNorm1d: PyTorch's error", OneElement),
        new("BatchNorm2d and 3d call themselves BatchNorm1d", "stab.nn.BatchNorm2d says its name", Name),
        new("there is no RMSNorm", "stab.nn.RMSNorm", RMSNorm),
    ];

    private static string? OneValue()
    {
        using var norm = nn.BatchNorm1d(3);
        if (Refused(() => norm.call(randn(1, 3)))) return null;
        norm.eval();
        return norm.call(randn(2, 3)).isnan().any().item<bool>() ? "evaluates to NaN for ever after" : "no error";
    }

    private static string? Counter()
    {
        using var norm = nn.BatchNorm1d(1, dtype: ScalarType.BFloat16);
        var input = tensor(new float[] { 1, 2 }, 2, 1).to(ScalarType.BFloat16);
        for (int i = 0; i < 260; i++) norm.call(input).Dispose();
        long counted = norm.state_dict()["num_batches_tracked"].to(ScalarType.Int64).item<long>();
        return counted == 260 ? null : $"{counted} after 260 batches";
    }

    private static string? NullMomentum()
    {
        var momentum = typeof(nn).GetMethods().Where(m => m.Name == nameof(nn.BatchNorm1d)).SelectMany(m => m.GetParameters()).First(p => p.Name == "momentum");
        return momentum.ParameterType == typeof(double?) ? null : $"its type is {momentum.ParameterType.Name}";
    }

    private static string? GroupNormWeights()
    {
        using var norm = nn.GroupNorm(4, 4096);
        return norm.weight!.eq(1).all().item<bool>() && norm.bias!.eq(0).all().item<bool>() ? null : $"weight[0] is {norm.weight![0].item<float>():0.0e+0}";
    }

    private static string? GroupNormRank()
    {
        using var norm = nn.GroupNorm(2, 4);
        return Refused(() => norm.call(randn(3, 4))) ? "an error" : null;
    }

    private static string? GroupNormGroups() => Refused(() => nn.GroupNorm(3, 4)) ? null : "GroupNorm(3, 4) is made";

    private static string? OneElement()
    {
        using var norm = nn.InstanceNorm1d(3);
        return Refused(() => norm.call(randn(2, 3, 1))) ? null : "no error";
    }

    private static string? Name()
    {
        using var norm = nn.BatchNorm2d(3);
        return norm.GetName() == "BatchNorm2d" ? null : $"BatchNorm2d says {norm.GetName()}";
    }

    private static string? RMSNorm() => typeof(nn).GetMethods().Any(m => m.Name == "RMSNorm") ? null : "no torch.nn.RMSNorm";

    private static bool Refused(Action action)
    {
        try
        {
            action();
            return false;
        }
        catch (Exception)
        {
            return true;
        }
    }
}
