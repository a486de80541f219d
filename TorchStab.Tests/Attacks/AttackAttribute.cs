namespace TorchStab.Tests.Attacks;

/// <summary>
/// Marks a static method without parameters that does what could end the process. It runs in a process of its own, so that a crash is
/// a failed test: it returns where all is well, and throws where a promise is broken.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class AttackAttribute : Attribute
{
    /// <summary>Environment variables of the process, as NAME=value.</summary>
    public string[] Environment { get; init; } = [];
}
