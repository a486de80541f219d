using System.Globalization;

namespace TorchStab.Distributed;

/// <summary>Chooses the engine by the environment variables that a launcher sets.</summary>
internal static class MpiLaunch
{
    /// <summary>Set by Open MPI's mpirun, by launchers with PMIx (srun --mpi=pmix), and by those with PMI (other MPIs).</summary>
    private const string OpenMpiSize = "OMPI_COMM_WORLD_SIZE", PmixRank = "PMIX_RANK", PmiSize = "PMI_SIZE";

    public static ICollective NewEngine(TimeSpan timeout)
    {
        if (!IsLaunched()) return new SingleProcess();
        var engine = new MpiCollective(timeout);
        if (Announced() is not { } size || size == engine.WorldSize) return engine;
        string text = $"The launcher announced {size} ranks, but libmpi sees {engine.WorldSize}: mpirun belongs to another MPI than the libmpi that was found. "
            + "Start with Open MPI's own mpirun, or name its libmpi in the environment variable TORCHSTAB_MPI.";
        engine.Dispose();
        throw new InvalidOperationException(text);
    }

    private static bool IsLaunched() => new[] { OpenMpiSize, PmixRank, PmiSize }.Any(name => Environment.GetEnvironmentVariable(name) is { Length: > 0 });

    private static int? Announced()
    {
        string? text = Environment.GetEnvironmentVariable(OpenMpiSize) ?? Environment.GetEnvironmentVariable(PmiSize);
        return int.TryParse(text, CultureInfo.InvariantCulture, out int size) ? size : null;
    }
}
