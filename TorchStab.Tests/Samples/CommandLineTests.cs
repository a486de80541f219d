using TorchStab.Tests.Support;

namespace TorchStab.Tests.Samples;

/// <summary>What every sample's command line has in common.</summary>
[Collection(OtherProcesses.Name)]
public class CommandLineTests
{
    public static TheoryData<string> Samples => ["Audit", "CharRnn", "DataParallel", "Gallery", "SwapModules", "TrainMnist"];

    [Theory]
    [MemberData(nameof(Samples))]
    public void Help_is_help_and_a_wrong_option_is_one_line(string sample)
    {
        string program = Path.Combine(AppContext.BaseDirectory, sample + ".dll");
        string help = DotNet.Succeed(AppContext.BaseDirectory, program, "--help");
        Assert.Contains("--quick", help);
        Assert.All(help.Split('\n').SelectMany(line => line.Split("[default: ").Skip(1)), typed => Assert.False(char.IsUpper(typed[0]), typed));
        var (exitCode, output) = DotNet.Run(AppContext.BaseDirectory, program, "--bogus");
        Assert.Equal(2, exitCode);
        Assert.Single(output.Trim().Split('\n'));
        Assert.Contains("--bogus", output);
    }
}
