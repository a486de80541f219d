using static TorchSharp.torch;

namespace TorchStab.Tests.Ranks;

/// <summary>Every call of stab.distributed on every dtype, against what the ranks' numbers must give.</summary>
internal static class Collectives
{
    public static void Run()
    {
        stab.distributed.init_process_group();
        int rank = stab.distributed.get_rank(), size = stab.distributed.get_world_size();
        foreach (var dtype in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.Int64, ScalarType.Int32, ScalarType.BFloat16, ScalarType.Float16 })
        {
            foreach (var (op, expected) in new[] { (ReduceOp.Sum, size * (size + 1) / 2.0), (ReduceOp.Max, size), (ReduceOp.Min, 1),
                (ReduceOp.Product, Factorial(size)) })
            {
                using var tensor = full(3, 1000, rank + 1, dtype);
                stab.distributed.all_reduce(tensor, op);
                Require(tensor.eq(expected).all().item<bool>(), $"{op} of {dtype}");
            }
        }
        using var mean = full(5, rank + 1.0, ScalarType.Float64);
        stab.distributed.all_reduce(mean, ReduceOp.Avg);
        Require(mean.eq((size + 1) / 2.0).all().item<bool>(), "Avg");
        using var transposed = arange(6, ScalarType.Float32).reshape(2, 3).t() * (rank + 1);
        stab.distributed.all_reduce(transposed);
        Require(transposed.eq(arange(6, ScalarType.Float32).reshape(2, 3).t() * (size * (size + 1) / 2.0)).all().item<bool>(), "a transposed tensor");
        Spread(rank, size);
        if (size > 1) Saved();
        stab.distributed.barrier();
    }

    private static void Spread(int rank, int size)
    {
        using var flags = full(7, rank == size - 1 ? 1 : 0, ScalarType.Bool);
        stab.distributed.broadcast(flags, size - 1);
        Require(flags.all().item<bool>(), "broadcast");
        using var own = full(2, 3, rank, ScalarType.Int64);
        var all = stab.distributed.all_gather(own);
        Require(all.Length == size && all.Index().All(p => p.Item.eq(p.Index).all().item<bool>()), "all_gather");
        var list = Enumerable.Range(0, size).Select(_ => zeros_like(own)).ToList();
        stab.distributed.all_gather(list, own);
        Require(list.Index().All(p => p.Item.eq(p.Index).all().item<bool>()), "all_gather into a list");
        // Collectives from another thread than the one that began.
        var thread = new Thread(() => stab.distributed.all_reduce(own));
        thread.Start();
        thread.Join();
        Require(own.eq(size * (size - 1) / 2).all().item<bool>(), "another thread");
    }

    // MPI writes behind autograd's back: a backward pass that saved the old values has to end in its usual error.
    private static void Saved()
    {
        using var scope = NewDisposeScope();
        var (saved, other) = (ones(3), ones(3).requires_grad_());
        var loss = (saved * other).sum();
        stab.distributed.all_reduce(saved);
        try
        {
            loss.backward();
        }
        catch (System.Runtime.InteropServices.ExternalException)
        {
            return;
        }
        Require(false, "the gradient through a tensor that was summed since");
    }

    private static double Factorial(int n) => Enumerable.Range(1, n).Aggregate(1.0, (product, i) => product * i);

    private static void Require(bool holds, string what)
    {
        if (!holds) throw new InvalidOperationException($"{what} is wrong on rank {stab.distributed.get_rank()}");
    }
}
