using System.CommandLine;
using System.Globalization;

namespace TorchStab.Samples;

/// <summary>What every sample's <c>Main</c> does: parse, run, and turn failures into one line on stderr and an exit code.</summary>
public static class SampleProgram
{
    public const int Success = 0, Failure = 1, Usage = 2, Interrupted = 130;

    /// <summary>
    /// Runs <paramref name="body"/> with the parsed options and a token that Ctrl-C sets. The body ends by itself when the
    /// token is set, and reports what it has.
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
            parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
            return interrupt.Token.IsCancellationRequested ? Interrupted : Success;
        }
        catch (SampleException e)
        {
            return Fail(e.Message, Failure);
        }
    }

    private static int Fail(string message, int exitCode)
    {
        Console.Error.WriteLine("error: " + message.ReplaceLineEndings(" "));
        return exitCode;
    }
}
