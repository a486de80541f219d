using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>The name of a module in reports: torch.nn.BatchNorm2d, stab.nn.BatchNorm2d, or the name of a user's class.</summary>
internal static class NormNames
{
    public static string Of(nn.Module module) => Of(module.GetType());

    public static string Of(Type type) => type.Namespace switch
    {
        "TorchSharp.Modules" => $"torch.nn.{type.Name}",
        "TorchStab.Modules" => $"stab.nn.{type.Name}",
        _ => type.Name,
    };
}
