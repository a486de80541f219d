using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>
/// Reports to the caller of <c>backward()</c> why a node's backward pass failed. A callback must not throw through native frames, so it returns invalid
/// gradients. libtorch's engine then raises "Function CSharpNode returned an invalid …", which TorchSharp turns into an <see cref="ExternalException"/>. A
/// first-chance handler replaces the message of that exception by the reason, before any catch block sees it.
/// </summary>
internal static class BackwardFailure
{
    private const string Refused = "Function CSharpNode returned an invalid";

    [ThreadStatic]
    private static string? t_last, t_pending;

    private static string? s_pending; // of any thread: libtorch computes gradients on a GPU on a thread of its own
    private static int s_watches;

    /// <summary>The reason of the last failure on this thread.</summary>
    public static string? Last => t_last;

    /// <summary>Records why the current callback returns invalid gradients. Never throws.</summary>
    public static void Note(GraphOp op, Exception exception)
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
            // The exception then keeps the engine's message.
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
            // Another runtime has no such field: the exception keeps its message.
        }
    }

    // There is no public way to change the message of an existing exception.
    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_message")]
    private static extern ref string? MessageOf(Exception exception);
}
