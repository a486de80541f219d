namespace TorchStab.Tests.Support;

/// <summary>Calls that must raise an ArgumentException, or a kind of one: for <c>using static</c>.</summary>
internal static class Refusals
{
    /// <summary>Asserts what the refusal says, and which argument it names; null: not asked.</summary>
    public static void Refused(string words, string? argument, Action call)
    {
        var refusal = Assert.ThrowsAny<ArgumentException>(call);
        Assert.Contains(words, refusal.Message, StringComparison.Ordinal);
        if (argument is not null) Assert.Equal(argument, refusal.ParamName);
    }

    public static void Refused(string words, string? argument, Func<object?> call) => Refused(words, argument, () => { call(); });

    public static void Refused(string words, Action call) => Refused(words, null, call);
}
