using System.CommandLine;
using TorchStab.Samples;

namespace TorchStab.Tests.Samples;

/// <summary>What every sample's Main does.</summary>
public class SampleProgramTests
{
    [Fact]
    public void The_body_runs_off_the_main_thread_which_signals_interrupt()
    {
        int here = Environment.CurrentManagedThreadId, body = here;
        Assert.Equal(SampleProgram.Success, SampleProgram.Run(new RootCommand(), [], (_, _) => body = Environment.CurrentManagedThreadId));
        Assert.NotEqual(here, body);
    }

    [Fact]
    public void Failures_of_the_body_arrive()
    {
        Assert.Equal(SampleProgram.Failure, SampleProgram.Run(new RootCommand(), [], (_, _) => throw new SampleException("no data")));
        Assert.Throws<FormatException>(() => SampleProgram.Run(new RootCommand(), [], (_, _) => throw new FormatException()));
    }
}
