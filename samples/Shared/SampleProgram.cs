using System.CommandLine;
using System.Globalization;
using System.Runtime.ExceptionServices;

namespace TorchStab.Samples;

/// <summary>What every sample's <c>Main</c> does: parse, run, and turn failures into one line on stderr and an exit code.</summary>
public static class SampleProgram
{
    public const int Success = 0, Failure = 1, Usage = 2, Interrupted = 130;

    /// <summary>
    /// Runs <paramref name="body"/> with the parsed options and a token that Ctrl-C sets. The body ends by itself when the
    /// token is set, and reports what it has. It runs on a thread of its own: a signal is delivered to the main thread, and the backward
    /// pass of oneDNN's LSTM, interrupted by one, writes outside its memory.
    /// </summary>
    /// <returns>0; 1 after a <see cref="SampleException"/>; 2 for wrong options; 130 when Ctrl-C ended the run early.</returns>
    public static int Run(RootCommand command, string[] args, Action<ParseResult, CancellationToken> body)
    {
        CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture; // the same text everywhere
        using var interrupt = new Interrupt();
        command.SetAction(parsed => body(parsed, interrupt.Token));
        var parsed = command.Parse(args);
        if (parsed.Errors.Count > 0) return Fail($"{parsed.Errors[0].Message} Try --help.", Usage);
        try
        {
            OffMainThread(() => parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }));
            return interrupt.Token.IsCancellationRequested ? Interrupted : Success;
        }
        catch (SampleException e)
        {
            return Fail(e.Message, Failure);
        }
    }

    /// <summary>Runs it on another thread, and waits; its exception is raised here.</summary>
    private static void OffMainThread(Action body)
    {
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                body();
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
    }

    private static int Fail(string message, int exitCode)
    {
        Console.Error.WriteLine("error: " + message.ReplaceLineEndings(" "));
        return exitCode;
    }
}
