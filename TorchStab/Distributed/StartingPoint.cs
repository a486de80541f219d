using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>Makes the ranks' models equal, or asserts that they are.</summary>
internal static class StartingPoint
{
    /// <summary>Asserts that all ranks have the same model, and copies rank 0's values to all ranks.</summary>
    public static void Share(ProcessGroup group, nn.Module model, bool buffers = true)
    {
        RequireSameModel(group, model);
        foreach (var (_, tensor) in State(model, buffers)) group.Spread(tensor, 0);
    }

    /// <summary>Asserts that all ranks have the same model with equal parameters.</summary>
    public static void RequireSame(ProcessGroup group, nn.Module model)
    {
        RequireSameModel(group, model);
        RequireIdentical(group, State(model, buffers: false), "; layers that are added to a wrapped model need the same values on every rank: "
            + "stab.distributed.broadcast them from rank 0, or run the model through DistributedDataParallel, which does");
    }

    /// <summary>Copies rank 0's buffers to all ranks, except those of SyncBatchNorms, which are equal already.</summary>
    public static void ShareBuffers(ProcessGroup group, nn.Module model)
    {
        if (group.IsAlone) return;
        foreach (var module in model.modules())
            if (module is not SyncBatchNorm)
                foreach (var (_, buffer) in module.named_buffers(recurse: false)) group.Spread(buffer, 0);
    }

    public static void RequireIdentical(ProcessGroup group, nn.Module model) => RequireIdentical(group, State(model, buffers: true), "");

    private static void RequireIdentical(ProcessGroup group, List<(string Name, Tensor Tensor)> state, string advice)
    {
        foreach (var (name, tensor) in state)
        {
            using var scope = NewDisposeScope();
            using var _ = no_grad();
            var first = tensor.detach().clone();
            group.Spread(first, 0);
            var same = first.eq(tensor).logical_and(first.signbit().eq(tensor.signbit())).logical_or(first.isnan().logical_and(tensor.isnan()));
            int other = Array.IndexOf(group.Agree(new(CallKind.Identity, Free: same.all().item<bool>() ? 1 : 0)), 0);
            if (other > 0) throw new InvalidOperationException($"{name} is not the same on rank {other} as on rank 0{advice}");
        }
    }

    // Compares a hash of layers, names, shapes, dtypes and requires_grad.
    private static void RequireSameModel(ProcessGroup group, nn.Module model)
    {
        var state = State(model, buffers: true);
        // The types of layers count too: a SyncBatchNorm has the same state as a BatchNorm, but exchanges statistics.
        string text = string.Join('\n', state.Select(s => $"{s.Name} {s.Tensor.dtype} {Repr.List(s.Tensor.shape)} {s.Tensor.requires_grad}")
            .Concat(model.modules().Select(m => m.GetType().FullName)));
        long hash = BinaryPrimitives.ReadInt64LittleEndian(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
        group.Agree(new(CallKind.Model, hash, state.Count, state.Sum(s => s.Tensor.numel())));
    }

    private static List<(string Name, Tensor Tensor)> State(nn.Module model, bool buffers) =>
        [.. model.named_parameters().Select(p => (p.name, (Tensor)p.parameter)), .. model.named_buffers().Where(_ => buffers).Select(b => (b.name, b.buffer))];
}
