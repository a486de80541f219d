using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using static TorchSharp.torch;

namespace TorchStab.Tests.Support;

/// <summary>
/// Calls members with any arguments and sorts what comes of it: a result, or an ArgumentException, an InvalidOperationException or libtorch's own
/// words, said alike in any culture and documented. Anything else fails the test.
/// </summary>
internal static partial class AnyCalls
{
    private const string DisposedTensor = "Tensor invalid -- empty handle."; // TorchSharp's own words

    /// <summary>Runs the body for every member, each with arguments of its own from the seed, and lists all that went wrong.</summary>
    public static void ForEach<T>(IReadOnlyList<T> members, int seed, Action<T, AnyArguments, Func<object?>> body, bool anyDevice = false) where T : MethodBase
    {
        Assert.NotEmpty(members);
        var failures = new List<string>();
        foreach (var (i, member) in members.Index())
        {
            using var scope = NewDisposeScope();
            var arguments = new AnyArguments(new Random(unchecked(seed * 31 + i)), anyDevice);
            manual_seed(seed);
            object?[] values = [.. member.GetParameters().Select(arguments.Draw)];
            try
            {
                body(member, arguments, () => Invoke(member, values));
            }
            catch (Exception e)
            {
                failures.Add($"{member.DeclaringType!.Name} {member}: {e.Message}");
            }
        }
        Assert.True(failures.Count == 0, string.Join('\n', failures));
    }

    /// <summary>The result; null where the call was refused.</summary>
    public static object? Try(Func<object?> call) => Returns(call, out object? result) ? result : null;

    /// <summary>Whether the call was not refused.</summary>
    public static bool Returns(Action call) => Returns(() => { call(); return null; }, out _);

    /// <summary>Whether the call was not refused, and its result.</summary>
    public static bool Returns(Func<object?> call, out object? result)
    {
        result = null;
        try
        {
            result = call();
            return true;
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or ExternalException)
        {
            Assert.False(string.IsNullOrWhiteSpace(e.Message));
            AssertSaidAlikeElsewhere(call, e);
            return false;
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"{e.GetType().Name}: {e.Message}\n{e.StackTrace}");
        }
    }

    private static object? Invoke(MethodBase member, object?[] values)
    {
        try
        {
            return member is ConstructorInfo constructor ? constructor.Invoke(BindingFlags.DoNotWrapExceptions, null, values, null)
                : member.Invoke(null, BindingFlags.DoNotWrapExceptions, null, values, null);
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException && !IsDocumented(member, e)
            && !(e is ObjectDisposedException || e.Message == DisposedTensor))
        {
            throw new FormatException($"raises an undocumented {e.GetType().Name}: {e.Message}\n{e.StackTrace}");
        }
        catch (ArgumentException e) when (!NamesArgument(member, e))
        {
            throw new FormatException($"raises an ArgumentException about '{e.ParamName}', which is none of its arguments: {e.Message}\n{e.StackTrace}");
        }
    }

    /// <summary>
    /// Whether the refusal names an argument of the member, or an option of one (lr is PyTorch's name of LearningRate): what it says is about what its
    /// caller wrote. A model that was run may raise what it likes; TorchSharp's call of it is looked for too, since a compiled forward may be inlined there.
    /// </summary>
    public static bool NamesArgument(MethodBase member, ArgumentException refusal) =>
        (refusal.TargetSite?.Module == typeof(Tensor).Module && refusal.ParamName is null)
        || RanModel().IsMatch(refusal.StackTrace!)
            || member.GetParameters().Any(p => p.Name == refusal.ParamName || OptionsOf(p.ParameterType).Contains(refusal.ParamName));

    private static IEnumerable<string?> OptionsOf(Type type) => !typeof(TorchStab.Modules.ClipOptions).IsAssignableFrom(type) ? []
        : type.GetProperties().Select(o => o.Name == nameof(TorchStab.Modules.ClipOptions.LearningRate) ? "lr" : o.Name);

    [GeneratedRegex(@"\.forward\(|TorchSharp\.torch\.nn\.Module`\d\.call\(")]
    private static partial Regex RanModel();

    private static bool IsDocumented(MethodBase member, Exception e) =>
        XmlDocs.Of(member is MethodInfo { IsGenericMethod: true } m ? m.GetGenericMethodDefinition() : member)
        .Elements("exception").Select(x => Type.GetType(x.Attribute("cref")!.Value[2..])).Any(type => type?.IsInstanceOfType(e) == true);

    // libtorch appends its stack, whose addresses are others each time where code was compiled anew meanwhile.
    private static string Words(Exception e) => e.Message.Split("\nException raised from ", 2)[0];

    // A refusal changed nothing, so it comes again: in the same words under a culture that writes numbers otherwise.
    private static void AssertSaidAlikeElsewhere(Func<object?> call, Exception refusal)
    {
        var before = CultureInfo.CurrentCulture;
        CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo(refusal.Message.Length % 2 == 0 ? "tr-TR" : "ar-SA");
        try
        {
            Assert.Equal(Words(refusal), Words(Assert.ThrowsAny<Exception>(() => call())));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }
}
