namespace TorchStab.Dispatch;

/// <summary>
/// What a process may force, read once at start: the AppContext value <c>TorchStab.NAME</c> (a <c>configProperties</c> entry
/// of runtimeconfig.json) or else the environment variable <c>TORCHSTAB_NAME</c>.
/// </summary>
internal static class Setting
{
    public static string? Read(string name) =>
        AppContext.GetData("TorchStab." + name) as string ?? Environment.GetEnvironmentVariable("TORCHSTAB_" + name.ToUpperInvariant());

    /// <summary>The setting's value by name, without regard to case; <paramref name="otherwise"/> where it is not set.</summary>
    public static T Read<T>(string name, T otherwise) where T : struct, Enum
    {
        string? text = Read(name);
        if (string.IsNullOrEmpty(text)) return otherwise;
        return Enum.TryParse<T>(text, ignoreCase: true, out var value) && Enum.IsDefined(value)
            ? value
            : throw new InvalidOperationException($"TorchStab.{name} is '{text}'; expected one of {string.Join(", ", Enum.GetNames<T>())}");
    }
}
