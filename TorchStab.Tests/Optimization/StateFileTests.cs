using System.IO.Compression;
using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Support.OptimizerFile;

namespace TorchStab.Tests.Optimization;

/// <summary>Files that are cut short or corrupted are refused and change nothing; a file on disk is replaced as a whole.</summary>
public sealed class StateFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("torchstab").FullName;

    public static TheoryData<string> Kinds => ["Adam", "SGD", "RMSprop", "ClippedOptimizer of TorchStab's", "ClippedOptimizer of torch.optim's"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_file_cut_short_anywhere_is_refused_and_changes_nothing(string kind)
    {
        using var scope = NewDisposeScope();
        byte[] whole = Save(Trained(kind, seed: 1, steps: 5));
        // Files of torch.optim have no memory of a rule: one that ends before it is whole.
        int memory = whole.Length - MemoryOf(Rule());
        var optimizer = Trained(kind, seed: 2, steps: 3);
        byte[] before = Save(optimizer);
        for (int length = 0; length < whole.Length; length++)
        {
            if (length == memory) continue; // loaded below
            Assert.ThrowsAny<Exception>(() => Load(optimizer, whole.AsSpan(0, length).ToArray()));
            Assert.True(before.AsSpan().SequenceEqual(Save(optimizer)), $"{kind}: {length} of {whole.Length} bytes changed the state");
        }
        Load(optimizer, whole);
        Assert.Equal(whole, Save(optimizer));
        Load(optimizer, whole.AsSpan(0, memory).ToArray());
        Assert.Equal(whole, Save(optimizer));
    }

    [Fact]
    public void Moments_of_any_layout_are_saved_and_loaded()
    {
        foreach (var make in Make.Optimizers.Values)
        {
            using var scope = NewDisposeScope();
            Parameter[] parameters = [new(randn(3, 4).t()), new(randn(2, 3, 4, 5).permute(0, 3, 1, 2))];
            using var from = make(parameters.Select((p, i) => ($"p{i}", p)));
            using var to = make(parameters.Select((p, i) => ($"p{i}", p)));
            foreach (var p in parameters) p.grad = randn_like(p);
            from.step();
            byte[] saved = Save(from);
            Load(to, saved);
            Assert.Equal(saved, Save(to));
            foreach (var (a, b) in from.state_dict().State.Zip(to.state_dict().State)) Assert.True(a.ApproximatelyEquals(b));
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_stream_that_cannot_go_back_will_do(string kind)
    {
        using var scope = NewDisposeScope();
        byte[] whole = Save(Trained(kind, seed: 1, steps: 5)), foreign = Save(Trained(kind, seed: 1, steps: 5, size: 4));
        var optimizer = Trained(kind, seed: 2, steps: 3);
        byte[] before = Save(optimizer);
        Assert.ThrowsAny<SystemException>(() => Load(optimizer, Packed(foreign)));
        Assert.Equal(before, Save(optimizer));
        Load(optimizer, Packed(whole));
        Assert.Equal(whole, Save(optimizer));

        static GZipStream Packed(byte[] file)
        {
            var packed = new MemoryStream();
            using (var writer = new GZipStream(packed, CompressionMode.Compress, leaveOpen: true)) writer.Write(file);
            packed.Position = 0;
            return new(packed, CompressionMode.Decompress);
        }
    }

    [Fact]
    public void Loading_leaves_no_tensor()
    {
        using var scope = NewDisposeScope();
        var optimizer = Trained("Adam", seed: 1, steps: 2);
        byte[] whole = Save(optimizer);
        LiveTensors.AssertNoneLeft(() =>
        {
            Load(optimizer, whole);
            ((TorchStab.Modules.Adam)optimizer).load_state_dict(((TorchStab.Modules.Adam)optimizer).state_dict());
        });
    }

    [Theory]
    [InlineData("Adam")]
    [InlineData("SGD")]
    [InlineData("RMSprop")]
    [InlineData("ClippedOptimizer of TorchStab's")]
    public void A_flipped_byte_is_refused_without_a_change_or_is_a_value(string kind)
    {
        using var scope = NewDisposeScope();
        byte[] whole = Save(Trained(kind, seed: 1, steps: 5));
        var optimizer = Trained(kind, seed: 2, steps: 3);
        int refused = 0;
        for (int i = 0; i < whole.Length; i++)
        {
            byte[] before = Save(optimizer), corrupted = [.. whole];
            corrupted[i] ^= 0xFF;
            try
            {
                Load(optimizer, corrupted);
                Load(optimizer, before);
            }
            catch (Exception)
            {
                refused++;
                Assert.True(before.AsSpan().SequenceEqual(Save(optimizer)), $"{kind}: byte {i} changed the state");
            }
        }
        Assert.True(refused > 10, $"only {refused} of {whole.Length} bytes matter");
    }

    [Fact]
    public void A_save_that_fails_leaves_the_old_file_and_nothing_beside_it()
    {
        using var scope = NewDisposeScope();
        string path = Path.Combine(_folder, "état.bin");
        var optimizer = (TorchStab.Modules.Adam)Trained("Adam", seed: 1, steps: 2);
        optimizer.save_state_dict(path);
        byte[] old = File.ReadAllBytes(path);
        optimizer.save_state_dict(path);
        Assert.Equal(old, File.ReadAllBytes(path));
        var other = (TorchStab.Modules.Adam)Trained("Adam", seed: 2, steps: 1);
        other.load_state_dict(path);
        Assert.Equal(old, Save(other));
        ((TorchStab.Modules.Adam.State)optimizer.state_dict().State[^1]).exp_avg.Dispose();
        Assert.ThrowsAny<Exception>(() => optimizer.save_state_dict(path));
        Assert.Equal(old, File.ReadAllBytes(path));
        Assert.Equal([path], Directory.GetFiles(_folder));
    }

    [Theory]
    [InlineData(ScalarType.Float32, ScalarType.Float64)]
    [InlineData(ScalarType.BFloat16, ScalarType.Float64)]
    [InlineData(ScalarType.Float64, ScalarType.BFloat16)]
    public void Moments_of_a_dtype_of_their_own_come_back_as_they_were(ScalarType dtype, ScalarType moments)
    {
        using var scope = NewDisposeScope();
        var parameter = Make.Parameter(ones(3, dtype));
        parameter.grad = full(3, 1.0 / 3, dtype);
        using var optimizer = stab.optim.Adam([parameter]);
        optimizer.MomentDtype = moments;
        optimizer.step();
        byte[] file = Save(optimizer);
        optimizer.step();
        Load(optimizer, file);
        Assert.Equal(file, Save(optimizer));
        Assert.Equal(moments, ((TorchStab.Modules.Adam.State)optimizer.state_dict().State[0]).exp_avg.dtype);
    }

    [Fact]
    public void Links_and_modes_stay_as_they_are()
    {
        if (OperatingSystem.IsWindows()) return;
        using var scope = NewDisposeScope();
        var optimizer = (TorchStab.Modules.Adam)Trained("Adam", seed: 1, steps: 2);
        string file = Path.Combine(_folder, "file"), link = Path.Combine(_folder, "link"), dangling = Path.Combine(_folder, "dangling"),
            late = Path.Combine(_folder, "late");
        File.WriteAllText(file, "old");
        const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            Open = Private | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite | UnixFileMode.OtherRead;
        File.CreateSymbolicLink(Path.Combine(_folder, "between"), "file");
        File.CreateSymbolicLink(link, "between");
        File.CreateSymbolicLink(dangling, late);
        foreach (var mode in new[] { Private, Open })
        {
            File.SetUnixFileMode(file, mode);
            foreach (string path in new[] { link, file }) optimizer.save_state_dict(path);
            Assert.Equal(mode, File.GetUnixFileMode(file));
        }
        optimizer.save_state_dict(dangling);
        Assert.Equal("between", new FileInfo(link).LinkTarget);
        Assert.Equal(late, new FileInfo(dangling).LinkTarget);
        Assert.All([file, late], path => Assert.Equal(Save(optimizer), File.ReadAllBytes(path)));
        Assert.Equal(5, Directory.GetFiles(_folder).Length);
    }

    [Fact]
    public void What_is_no_regular_file_is_refused()
    {
        if (OperatingSystem.IsWindows()) return;
        using var scope = NewDisposeScope();
        var optimizer = (TorchStab.Modules.Adam)Trained("Adam", seed: 1, steps: 2);
        string device = Path.Combine(_folder, "device");
        File.CreateSymbolicLink(device, "/dev/null");
        foreach (string path in new[] { "/dev/null", "/dev/zero", device, _folder })
            Assert.Contains("save_state_dict(BinaryWriter)", Assert.Throws<ArgumentException>("location", () => optimizer.save_state_dict(path)).Message,
                StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("location", () => optimizer.save_state_dict(""));
        Assert.Equal(device, Assert.Single(Directory.GetFiles(_folder)));
        using var written = new FileStream("/dev/null", FileMode.Open, FileAccess.Write);
        written.Write([1]); // it is still there, and still a device
        Assert.Equal(0, new FileInfo("/dev/null").Length);
    }

    [Fact]
    public void A_memory_goes_into_a_smaller_window()
    {
        using var scope = NewDisposeScope();
        using var file = new MemoryStream();
        var large = GradientClip.Percentile(50, 10);
        for (int i = 1; i < 8; i++) large.Apply([Make.Parameter(full(1, (double)i))]);
        large.SaveMemory(new BinaryWriter(file));
        file.Position = 0;
        var small = GradientClip.Percentile(50, 3);
        small.LoadMemory(new BinaryReader(file));
        for (int i = 0; i < 20; i++) Assert.Equal(5, small.Apply([Make.Parameter(full(1, 5.0))]).GradNorm);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static GradientClip Rule() => GradientClip.ZScore(warmup: 2, maxNorm: 0.05);

    private static int MemoryOf(GradientClip rule)
    {
        for (int i = 0; i < 3; i++) rule.Apply([Make.Parameter(ones(1))]);
        using var memory = new MemoryStream();
        rule.SaveMemory(new BinaryWriter(memory));
        return (int)memory.Length;
    }

    private static optim.Optimizer Trained(string kind, int seed, int steps, int size = 3)
    {
        manual_seed(seed);
        var p = new Parameter(randn(size));
        optim.Optimizer optimizer = kind switch
        {
            "Adam" => stab.optim.Adam([p], amsgrad: true),
            "SGD" => stab.optim.SGD([p], 0.1, momentum: 0.9),
            "RMSprop" => stab.optim.RMSprop([p], momentum: 0.9, centered: true),
            "ClippedOptimizer of TorchStab's" => stab.optim.ClippedOptimizer(stab.optim.AdamW([p]), Rule()),
            _ => stab.optim.ClippedOptimizer(optim.Adam([p], amsgrad: true), Rule()),
        };
        if (optimizer is TorchStab.Modules.ClippingAwareOptimizer own) own.Clip = Rule();
        for (int i = 0; i < steps; i++)
        {
            p.grad = randn(size);
            optimizer.step();
        }
        return optimizer;
    }

    private static void Load(optim.Optimizer optimizer, byte[] file) => Load(optimizer, new MemoryStream(file));

    private static void Load(optim.Optimizer optimizer, Stream file)
    {
        var reader = new BinaryReader(file);
        if (optimizer is TorchStab.Modules.ClippedOptimizer wrapped) wrapped.load_state_dict(reader);
        else ((TorchStab.Modules.ClippingAwareOptimizer)optimizer).load_state_dict(reader);
    }
}
