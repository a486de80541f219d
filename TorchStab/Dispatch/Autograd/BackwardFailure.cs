using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>
/// Why a backward pass came to nothing, for whoever called <c>backward()</c>. A callback cannot raise: it refuses its gradients, and libtorch's engine
/// raises "Function CSharpNode returned an invalid …", which TorchSharp turns into an <see cref="ExternalException"/>. As that is thrown, before any
/// handler sees it, its message is exchanged for the reason.
/// </summary>
internal static class BackwardFailure
{
    private const string Refused = "Function CSharpNode returned an invalid";

    [ThreadStatic]
    private static string? t_last, t_pending;

    private static string? s_pending; // of whichever thread: gradients on a GPU are computed on a thread of libtorch's
    private static int s_watches;

    /// <summary>The reason of the last failure on this thread.</summary>
    public static string? Last => t_last;

    /// <summary>Notes why the callback that runs refuses its gradients; raises nothing.</summary>
    public static void Note(NormOp op, Exception exception)
    {
        try
        {
            string message = AutogradLibrary.WithoutTrace(exception.Message);
            string text = message.StartsWith(op.Name, StringComparison.Ordinal) ? message : $"{op.Name}'s backward pass: {message}";
            t_last = t_pending = s_pending = text;
            if (Interlocked.Exchange(ref s_watches, 1) == 0) AppDomain.CurrentDomain.FirstChanceException += Explain;
        }
        catch (Exception)
        {
            // The engine's own message has to do.
        }
    }

    private static void Explain(object? sender, FirstChanceExceptionEventArgs e)
    {
        if (e.Exception is not ExternalException { Message: var message } || !message.StartsWith(Refused, StringComparison.Ordinal)) return;
        string? reason = t_pending ?? s_pending;
        t_pending = null;
        Interlocked.CompareExchange(ref s_pending, null, reason);
        if (reason is not null) Exchange(e.Exception, reason);
    }

    private static void Exchange(Exception exception, string message)
    {
        try
        {
            MessageOf(exception) = message;
        }
        catch (MissingFieldException)
        {
            // Another runtime: what it was thrown with stays.
        }
    }

    // An exception's message has no other way to be set once it is made.
    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_message")]
    private static extern ref string? MessageOf(Exception exception);
}
