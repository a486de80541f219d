using System.IO.Compression;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Attacks;

/// <summary>Files with one flipped bit: each is loaded, or refused by an exception that leaves everything as it was; none ends the process.</summary>
public static class FileAttacks
{
    /// <summary>Every module that loads by itself, every bit of its file.</summary>
    [Attack]
    public static void FlippedBitsOfModules()
    {
        Func<nn.Module>[] all =
        [
            () => stab.nn.BatchNorm1d(2), () => stab.nn.BatchNorm1d(2, dtype: float64), () => stab.nn.BatchNorm2d(1, affine: false, dtype: bfloat16),
            () => stab.nn.InstanceNorm1d(3, track_running_stats: true), () => stab.nn.LayerNorm([2, 3]), () => stab.nn.GroupNorm(1, 2),
            () => stab.nn.RMSNorm(1),
            () => stab.nn.LayerNormGRUCell(1, 1), () => stab.nn.LayerNormLSTM(1, 1),
        ];
        foreach (var make in all)
            foreach (bool strict in new[] { true, false })
            {
                using var module = make();
                Flip(Bytes(w => module.save(w)), file => module.load(file, strict), () => Bytes(w => module.save(w)), module.GetName());
            }
    }

    /// <summary>The same of optimizers, torch.optim's under ours too, and of the memory of clipping rules; also where the stream cannot go back.</summary>
    [Attack]
    public static void FlippedBitsOfOptimizers()
    {
        using var scope = NewDisposeScope();
        var parameters = new[] { new Parameter(randn(2, 1)), new Parameter(randn(3)) };
        foreach (var p in parameters) p.grad = ones_like(p);
        var zscore = GradientClip.ZScore();
        TorchStab.Modules.ClippingAwareOptimizer[] own =
        [
            stab.optim.Adam(parameters, amsgrad: true), stab.optim.SGD(parameters, 0.1, momentum: 0.9),
            stab.optim.RMSprop(parameters, momentum: 0.5, centered: true),
        ];
        foreach (var optimizer in own)
        {
            optimizer.step();
            Flip(Bytes(optimizer.save_state_dict), optimizer.load_state_dict, () => Bytes(optimizer.save_state_dict), optimizer.GetType().Name);
        }
        optim.Optimizer[] inner = [own[0], optim.Adam(parameters, amsgrad: true), optim.SGD(parameters, 0.1, momentum: 0.9), optim.RMSProp(parameters),
            optim.Adagrad(parameters)];
        foreach (var optimizer in inner)
        {
            var clipped = stab.optim.ClippedOptimizer(optimizer, zscore);
            clipped.step();
            Flip(Bytes(clipped.save_state_dict), clipped.load_state_dict, () => Bytes(clipped.save_state_dict),
                $"ClippedOptimizer of {optimizer.GetType().Name}");
        }
    }

    private static void Flip(byte[] whole, Action<BinaryReader> load, Func<byte[]> state, string what)
    {
        byte[] before = state();
        for (int bit = 0; bit < 8 * whole.Length; bit++)
        {
            byte[] file = [.. whole];
            file[bit / 8] ^= (byte)(1 << (bit % 8));
            long tensors = Tensor.TotalCount;
            try
            {
                // Every other one through a stream without a length.
                using Stream stream = bit % 2 == 0 ? new MemoryStream(file) : Packed(file);
                load(new BinaryReader(stream));
                before = state();
            }
            catch (Exception e) when (e is SystemException or IOException)
            {
                Expect.True(before.AsSpan().SequenceEqual(state()), $"{what}, bit {bit}: refused ({e.Message}), and changed nevertheless");
            }
            Expect.True(Tensor.TotalCount <= tensors + 4, $"{what}, bit {bit}: {Tensor.TotalCount - tensors} tensors left");
        }
    }

    private static byte[] Bytes(Action<BinaryWriter> save)
    {
        using var stream = new MemoryStream();
        save(new BinaryWriter(stream));
        return stream.ToArray();
    }

    private static ZLibStream Packed(byte[] file)
    {
        var packed = new MemoryStream();
        using (var writer = new ZLibStream(packed, CompressionLevel.Fastest, leaveOpen: true)) writer.Write(file);
        packed.Position = 0;
        return new ZLibStream(packed, CompressionMode.Decompress);
    }
}
