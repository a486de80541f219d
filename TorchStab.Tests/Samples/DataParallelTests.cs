using TorchStab.Tests.Support;

namespace TorchStab.Tests.Samples;

/// <summary>DataParallel as a user runs it.</summary>
[Collection(OtherProcesses.Name)]
public class DataParallelTests
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "DataParallel.dll");

    [MpiFact]
    public void Two_ranks_end_with_the_parameters_of_one_process()
    {
        string output = Mpirun.Succeed(2, Program, "--quick");
        Assert.Contains("all ranks have the same parameters, bit for bit", output);
        Assert.Contains("its parameters equal the single-process run's", output);
        Assert.Contains("ms a step on 2 ranks", output);
    }

    [MpiFact]
    public void A_checkpoint_is_gone_on_from()
    {
        string file = Path.Combine(Directory.CreateTempSubdirectory("torchstab").FullName, "checkpoint");
        Mpirun.Succeed(2, Program, "--steps", "5", "--checkpoint", file);
        string output = Mpirun.Succeed(2, Program, "--steps", "8", "--checkpoint", file);
        Assert.Contains("goes on after step 5", output);
        Assert.Contains("its parameters equal the single-process run's", output);
        Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
    }

    [Fact]
    public void Without_MPI_there_is_one_clear_line()
    {
        var (exitCode, output) = DotNet.Run(AppContext.BaseDirectory, [("TORCHSTAB_MPI", "/nowhere/libmpi.so.40")], [Program, "--quick"]);
        Assert.Equal(1, exitCode);
        Assert.StartsWith("error: Open MPI is not installed: apt-get install openmpi-bin", output);
        Assert.Single(output.Trim().Split('\n'));
    }
}
