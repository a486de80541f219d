using System.Reflection;
using System.Runtime.InteropServices;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Distributed;

/// <summary>
/// The distributed part of the façade with any arguments, the same on two ranks: both get a result, or both an ArgumentException, an
/// InvalidOperationException or libtorch's own words; never another exception, never an abort, and nobody waits for the other.
/// </summary>
public class DistributedProperties
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    [SeededProperty(MaxTest = 60)]
    public void Calls_of_stab_distributed(int seed)
    {
        foreach (string name in new[] { "all_reduce", "broadcast", "all_gather" })
            foreach (var method in typeof(stab.distributed).GetMethods().Where(m => m.Name == name))
                OnBothRanks($"{method}", seed, arguments =>
                {
                    object?[] values = [.. method.GetParameters().Select(arguments.Draw)];
                    bool returned = Returns(() => method.Invoke(null, BindingFlags.DoNotWrapExceptions, null, values, null), out _);
                    arguments.AssertUnchanged(name, returned ? ["tensor", "tensor_list"] : []);
                    return returned;
                });
    }

    [SeededProperty(MaxTest = 40)]
    public void Models_and_their_steps(int seed) => OnBothRanks("DistributedDataParallel", seed, arguments =>
    {
        if (!Returns(() => Invoke("DistributedDataParallel", arguments), out object? result) || result is not DistributedDataParallel ddp) return false;
        bool ok = true;
        for (int i = 0; i < 3; i++)
        {
            ddp.zero_grad(set_to_none: i == 1);
            var input = arguments.Tensor("input");
            ok &= Returns(() => ddp.call(input), out object? output) && Returns(() => Backward(ddp, output), out _);
            ok &= Returns(ddp.average_gradients, out _);
        }
        ddp.Dispose();
        return ok;
    });

    [SeededProperty(MaxTest = 60)]
    public void Synchronized_norms_and_conversion(int seed) => OnBothRanks("SyncBatchNorm", seed, arguments =>
    {
        if (!Returns(() => Invoke("SyncBatchNorm", arguments), out object? result)) return false;
        using var norm = (SyncBatchNorm)result!;
        var input = arguments.Tensor("input");
        bool ok = Returns(() => norm.call(input), out object? output);
        if (output is Tensor { requires_grad: true } y) y.backward([ones_like(y.detach())]);
        ok &= Returns(() => stab.nn.utils.convert_sync_batchnorm_((nn.Module)arguments.Draw(Parameter(typeof(stab.nn.utils), "convert_sync_batchnorm_"))!),
            out _);
        arguments.AssertUnchanged("SyncBatchNorm");
        return ok;
    });

    [SeededProperty(MaxTest = 300)]
    public void Samplers(long size, int? replicas, int? rank, bool shuffle, long seed, bool dropLast, int batch, long epoch)
    {
        if (!Returns(() => stab.utils.data.DistributedSampler(size % 1000, replicas, rank, shuffle, seed, dropLast), out object? result)) return;
        var sampler = (DistributedSampler)result!;
        sampler.set_epoch(epoch);
        Assert.Equal(sampler.Count, sampler.ToArray().Length);
        Returns(() => sampler.batches(batch).Sum(b => b.Length), out _);
    }

    private static object? Invoke(string name, AnyArguments arguments)
    {
        var method = typeof(stab.nn).GetMethod(name)!;
        object?[] values = [.. method.GetParameters().Select(arguments.Draw)];
        return method.Invoke(null, BindingFlags.DoNotWrapExceptions, null, values, null);
    }

    private static ParameterInfo Parameter(Type type, string method) => type.GetMethod(method)!.GetParameters()[0];

    private static void Backward(DistributedDataParallel ddp, object? output)
    {
        if (output is Tensor { requires_grad: true } y) y.square().mean().backward();
        Assert.All(ddp.parameters(), p => Assert.False(p.IsInvalid));
    }

    // The body says whether all went well, which has to be alike on both.
    private static void OnBothRanks(string what, int seed, Func<AnyArguments, bool> body)
    {
        var outcomes = new bool[2];
        try
        {
            InProcessCollective.Run(2, collective => outcomes[collective.Rank] = body(new AnyArguments(new Random(seed))), Patience);
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"{what} with seed {seed}: {e.GetType().Name}: {e.Message}", e);
        }
        Assert.True(outcomes[0] == outcomes[1], $"{what} with seed {seed}: the ranks differ");
    }

    private static bool Returns(Action call, out object? result) => Returns(() =>
    {
        call();
        return null;
    }, out result);

    private static bool Returns(Func<object?> call, out object? result)
    {
        result = null;
        try
        {
            result = call();
            return true;
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or ExternalException && e.InnerException is not TimeoutException)
        {
            Assert.False(string.IsNullOrWhiteSpace(e.Message));
            return false;
        }
    }
}
