using System.Diagnostics;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Distributed;

/// <summary>The MPI engine: ranks that mpirun starts, healthy and not.</summary>
[Collection(OtherProcesses.Name)]
public class MpiTests
{
    [MpiFact]
    public void Every_call_gives_what_the_ranks_numbers_must_give()
    {
        foreach (int ranks in new[] { 2, 3 }) Assert.Equal(ranks, Mpirun.Succeed(ranks, Mpirun.Ranks, "collectives").Split("done").Length - 1);
    }

    [MpiFact]
    public void A_null_reference_can_still_be_caught()
    {
        Assert.Contains("caught", Mpirun.Succeed(2, Mpirun.Ranks, "null"));
    }

    [MpiFact]
    public void An_exception_ends_the_job_with_its_text()
    {
        string output = Fail("exception", seconds: 20);
        Assert.Contains("rank 1 of 2", output);
        Assert.Contains("the shard of this rank is unreadable", output);
    }

    [MpiFact]
    public void Different_calls_are_an_error_on_all_ranks()
    {
        string output = Fail("mismatch", seconds: 20);
        Assert.Contains("rank 0 is at all_reduce of 4 elements of Float32 by Sum, rank 1 is at all_reduce of 3 elements of Float32 by Sum", output);
    }

    [MpiFact]
    public void A_killed_rank_ends_the_others()
    {
        Assert.Contains("signal 9", Fail("killed", seconds: 20));
    }

    [MpiFact]
    public void A_rank_that_leaves_while_others_work_is_named()
    {
        string output = Fail("leaves", seconds: 20);
        Assert.Contains("rank 0 is at barrier, rank 1 is at destroy_process_group", output);
    }

    [MpiFact]
    public void A_rank_that_hangs_ends_the_job_after_the_time_out()
    {
        // On a busy machine the ranks may start further apart than that, and wait in an earlier call.
        Assert.Matches(@"waited 2 s in MPI_\w+ for the other ranks", Fail("late", seconds: 30));
    }

    [MpiFact]
    public void After_a_rank_was_killed_in_mid_step_the_last_checkpoint_loads_and_training_goes_on()
    {
        string file = Path.Combine(Directory.CreateTempSubdirectory("torchstab").FullName, "checkpoint");
        var (exitCode, output) = Mpirun.Run(3, Mpirun.Ranks, "dies", file);
        Assert.True(exitCode != 0 && output.Contains("signal 9", StringComparison.Ordinal), output);
        Assert.Contains("from step 4 to 6, the same on all ranks", Mpirun.Succeed(3, Mpirun.Ranks, "resumes", file));
        Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
    }

    [MpiFact]
    public void A_missing_libmpi_and_one_of_another_MPI_are_clear_errors()
    {
        var (exitCode, output) = Mpirun.Run(1, ("TORCHSTAB_MPI", "/nowhere/libmpi.so.40"), [Mpirun.Ranks, "collectives"]);
        Assert.True(exitCode != 0);
        Assert.Contains("libmpi was not found (tried /nowhere/libmpi.so.40). Install Open MPI 4 or 5: apt-get install openmpi-bin", output);
        (exitCode, output) = Mpirun.Run(1, ("TORCHSTAB_MPI", "libc.so.6"), [Mpirun.Ranks, "collectives"]);
        Assert.True(exitCode != 0);
        Assert.Contains("is not Open MPI", output);
    }

    [MpiFact]
    public void Gradients_are_summed_through_shared_memory_unless_it_is_switched_off()
    {
        foreach (var (ranks, mode) in new[] { (2, "auto"), (3, "auto"), (2, "off") })
        {
            var (exitCode, output) = Mpirun.Run(ranks, ("TORCHSTAB_SHAREDMEMORY", mode), [Mpirun.Ranks, "sums"]);
            Assert.True(exitCode == 0 && output.Split("done").Length == ranks + 1, output);
            Assert.Contains(mode == "auto" ? "through shared memory" : "in messages", output);
        }
    }

    [TwoHostsFact]
    public void Ranks_that_share_nothing_but_a_network_train_too()
    {
        string file = Path.Combine(Directory.CreateTempSubdirectory("torchstab").FullName, "checkpoint");
        foreach (string[] scenario in new string[][] { ["collectives"], ["sums"], ["resumes", file] })
        {
            var (exitCode, output) = Mpirun.RunOnTwoHosts(["dotnet", Mpirun.Ranks, .. scenario]);
            Assert.True(exitCode == 0 && output.Split("done").Length == 3, output);
        }
        Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
    }

    [Fact]
    public void Without_mpirun_a_process_is_a_world_of_one()
    {
        Assert.Contains("done", DotNet.Succeed(AppContext.BaseDirectory, Mpirun.Ranks, "collectives"));
    }

    private static string Fail(string scenario, double seconds)
    {
        var watch = Stopwatch.StartNew();
        var (exitCode, output) = Mpirun.Run(2, Mpirun.Ranks, scenario);
        Assert.True(exitCode != 0, output);
        Assert.True(watch.Elapsed.TotalSeconds < seconds, $"it took {watch.Elapsed.TotalSeconds:0} s");
        return output;
    }
}
