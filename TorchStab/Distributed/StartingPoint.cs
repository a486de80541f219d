using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using TorchStab.Modules;
using static TorchSharp.torch;

namespace TorchStab.Distributed;

/// <summary>What all ranks have in common: the same model, and the same values in it.</summary>
internal static class StartingPoint
{
    /// <summary>Asserts that all ranks have the same model and gives all of them rank 0's values.</summary>
    public static void Share(ProcessGroup group, nn.Module model, bool buffers = true)
    {
        RequireSameModel(group, model);
        foreach (var (_, tensor) in State(model, buffers)) group.Spread(tensor, 0);
    }

    /// <summary>Asserts that all ranks have the same model, and the same values in its parameters.</summary>
    public static void RequireSame(ProcessGroup group, nn.Module model)
    {
        RequireSameModel(group, model);
        RequireIdentical(group, State(model, buffers: false), "; layers that come into a wrapped model need the same values on every rank: stab.distributed.broadcast them from rank 0, "
            + "or run the model through DistributedDataParallel, which does");
    }

    /// <summary>Gives all ranks rank 0's buffers, save those of SyncBatchNorms, which are the same already.</summary>
    public static void ShareBuffers(ProcessGroup group, nn.Module model)
    {
        if (group.IsAlone) return;
        foreach (var module in model.modules())
            if (module is not SyncBatchNorm)
                foreach (var (_, buffer) in module.named_buffers(recurse: false)) group.Spread(buffer, 0);
    }

    public static void RequireIdentical(ProcessGroup group, nn.Module model) => RequireIdentical(group, State(model, buffers: true), "");

    private static void RequireIdentical(ProcessGroup group, List<(string Name, Tensor Tensor)> state, string otherwise)
    {
        foreach (var (name, tensor) in state)
        {
            using var scope = NewDisposeScope();
            using var _ = no_grad();
            var first = tensor.detach().clone();
            group.Spread(first, 0);
            var same = first.eq(tensor).logical_and(first.signbit().eq(tensor.signbit())).logical_or(first.isnan().logical_and(tensor.isnan()));
            int other = Array.IndexOf(group.Agree(new(CallKind.Identity, Free: same.all().item<bool>() ? 1 : 0)), 0);
            if (other > 0) throw new InvalidOperationException($"{name} is not the same on rank {other} as on rank 0{otherwise}");
        }
    }

    // By a hash of layers, names, shapes, dtypes and of what is trained.
    private static void RequireSameModel(ProcessGroup group, nn.Module model)
    {
        var state = State(model, buffers: true);
        // Layers too: a SyncBatchNorm has a BatchNorm's state, but makes calls that it does not make.
        string text = string.Join('\n', state.Select(s => $"{s.Name} {s.Tensor.dtype} {Repr.List(s.Tensor.shape)} {s.Tensor.requires_grad}")
            .Concat(model.modules().Select(m => m.GetType().FullName)));
        group.Agree(new(CallKind.Model, BinaryPrimitives.ReadInt64LittleEndian(SHA256.HashData(Encoding.UTF8.GetBytes(text))), state.Count, state.Sum(s => s.Tensor.numel())));
    }

    private static List<(string Name, Tensor Tensor)> State(nn.Module model, bool buffers) =>
        [.. model.named_parameters().Select(p => (p.name, (Tensor)p.parameter)), .. model.named_buffers().Where(_ => buffers).Select(b => (b.name, b.buffer))];
}
