namespace TorchStab.Samples;

/// <summary>A chosen name of an enum. The help prints an option's default by <see cref="ToString"/>: in lower case, as it is typed.</summary>
public readonly record struct Choice<T>(T Value) where T : struct, Enum
{
    public override string ToString() => Value.ToString().ToLowerInvariant();
}
