namespace TorchStab.Dispatch;

/// <summary>
/// Settings of the process, read once at start: the AppContext value <c>TorchStab.NAME</c> (a <c>configProperties</c> entry of runtimeconfig.json), otherwise
/// the environment variable <c>TORCHSTAB_NAME</c>.
/// </summary>
internal static class Setting
{
    /// <summary>
    /// The error message for invalid settings; null if all are valid. Settings are read in static initializers, where an exception would reach the user as a
    /// TypeInitializationException. So <see cref="Refuse"/> throws it at every call instead.
    /// </summary>
    public static string? Fault { get; } = FaultOf<KernelMode>("Kernels") ?? FaultOf<VectorWidth>("Vectors") ?? FaultOf<TeamKind>("Threads")
        ?? FaultOf<AutogradKind>("Autograd") ?? FaultOf<HugePagesMode>("HugePages") ?? FaultOf<OutputPoolMode>("OutputPool")
        ?? FaultOf<SharedMemoryMode>("SharedMemory")
        ?? (Read("Threads", TeamKind.Serial) == TeamKind.OpenMP && OpenMPTeam.Obstacle is { } obstacle
            ? $"{Place("Threads")} is 'openmp', but {obstacle}; expected threadpool or serial" : null);

    /// <summary>Returns false if all settings are valid.</summary>
    /// <exception cref="InvalidOperationException">A setting is invalid: <see cref="Fault"/> is not null.</exception>
    public static bool Refuse() => Fault is null ? false : throw new InvalidOperationException(Fault);

    public static string? Read(string name) => AppContext.GetData("TorchStab." + name) as string ?? Environment.GetEnvironmentVariable(Variable(name));

    /// <summary>Reads an enum setting, ignoring case; <paramref name="otherwise"/> if it is not set or invalid.</summary>
    public static T Read<T>(string name, T otherwise) where T : struct, Enum
    {
        int found = Array.FindIndex(Enum.GetNames<T>(), known => known.Equals(Read(name)?.Trim(), StringComparison.OrdinalIgnoreCase));
        return found < 0 ? otherwise : Enum.GetValues<T>()[found];
    }

    private static string? FaultOf<T>(string name) where T : struct, Enum
    {
        string? text = Read(name)?.Trim();
        return string.IsNullOrEmpty(text) || Enum.GetNames<T>().Contains(text, StringComparer.OrdinalIgnoreCase) ? null
            : $"{Place(name)} is '{text}'; expected one of {string.Join(", ", Enum.GetNames<T>().Select(known => known.ToLowerInvariant()))}";
    }

    private static string Place(string name) => AppContext.GetData("TorchStab." + name) is string
        ? $"the AppContext value TorchStab.{name}" : $"the environment variable {Variable(name)}";

    private static string Variable(string name) => "TORCHSTAB_" + name.ToUpperInvariant();
}
