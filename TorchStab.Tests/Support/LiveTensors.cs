using static TorchSharp.torch;

namespace TorchStab.Tests.Support;

/// <summary>Counts tensors that a piece of code leaves alive: after a public call there are those it returned, and no others.</summary>
internal static class LiveTensors
{
    /// <summary>
    /// Runs <paramref name="body"/> once to warm up and then <paramref name="times"/> times, and asserts that no run left a
    /// tensor. The body disposes what it was given. Finalizers do not help: what only they would free counts as a leak.
    /// TorchSharp's counter never forgets the tensor that a Parameter was made of; <paramref name="parameters"/> says how many
    /// Parameters a run makes. The count is exact: more Parameters than there are would hide as many leaks.
    /// </summary>
    public static void AssertNoneLeft(Action body, int times = 20, int parameters = 0)
    {
        body();
        // What earlier tests left to finalizers goes now, not in between.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        long before = Tensor.TotalCount;
        for (int i = 0; i < times; i++) body();
        Assert.Equal(times * parameters, Tensor.TotalCount - before);
    }
}
