using System.IO.Compression;
using TorchSharp;
using TorchSharp.Modules;
using TorchStab.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Support.OptimizerFile;

namespace TorchStab.Tests.Optimization;

/// <summary>Master copies in files, in state dictionaries, through rebind and <c>.to()</c>; and steps that must leave them alone.</summary>
public class MasterStateTests
{
    private static readonly Dictionary<string, Func<IEnumerable<(string, Parameter)>, bool, ClippingAwareOptimizer>> Optimizers = new()
    {
        ["Adam amsgrad"] = (p, m) => stab.optim.Adam(p, 0.01, amsgrad: true, master_weights: m),
        ["AdamW"] = (p, m) => stab.optim.AdamW(p, 0.01, master_weights: m),
        ["SGD momentum"] = (p, m) => stab.optim.SGD(p, 0.01, 0.9, master_weights: m),
        ["plain SGD"] = (p, m) => stab.optim.SGD(p, 0.01, master_weights: m),
        ["RMSprop centered"] = (p, m) => stab.optim.RMSprop(p, 0.01, momentum: 0.9, centered: true, master_weights: m),
    };

    public static TheoryData<string> Kinds => [.. Optimizers.Keys];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_saved_run_continues_bit_for_bit(string kind)
    {
        using var scope = NewDisposeScope();
        foreach (bool file in new[] { true, false })
        {
            using Sequential a = Network(1), b = Network(2);
            using ClippingAwareOptimizer from = Optimizers[kind](a.named_parameters(), true), into = Optimizers[kind](b.named_parameters(), true);
            if (file) // a state dictionary has no memory of rules
                foreach (var o in new[] { from, into }) (o.Clip, o.Spikes) = (GradientClip.ZScore(warmup: 2), SpikePolicy.Skip());
            for (int step = 0; step < 4; step++) Step(from, a, step);
            Step(into, b, 9);
            b.load_state_dict(a.state_dict());
            if (file) Load(into, Save(from));
            else into.load_state_dict(from.state_dict());
            for (int step = 4; step < 8; step++)
            {
                Step(from, a, step);
                Step(into, b, step);
            }
            foreach (var (x, y) in a.parameters().Zip(b.parameters())) Compare.Identical(x, y, "parameter");
            foreach (var (x, y) in Masters(from).Zip(Masters(into))) Compare.Identical(x!, y!, "master");
            Assert.True(from.state_dict().State[0].ApproximatelyEquals(into.state_dict().State[0]));
            if (file) Assert.Equal(Save(from), Save(into));
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_file_without_copies_loads_and_they_are_made_from_the_parameters(string kind)
    {
        using var scope = NewDisposeScope();
        using Sequential a = Network(1), b = Network(2);
        using ClippingAwareOptimizer plain = Optimizers[kind](a.named_parameters(), false), master = Optimizers[kind](b.named_parameters(), true);
        foreach (var o in new[] { plain, master }) (o.Clip, o.Spikes) = (GradientClip.ZScore(warmup: 2), SpikePolicy.Skip());
        Step(plain, a, 1);
        Step(master, b, 2);
        byte[] without = Save(plain), with = Save(master);
        b.load_state_dict(a.state_dict());
        Load(master, without);
        Assert.All(b.parameters().Zip(Masters(master)), pair => Compare.Identical(pair.First.to(ScalarType.Float32), pair.Second!, "master"));
        Step(master, b, 3);
        Load(plain, with); // copies that nobody needs are skipped, and what follows them is found
        Assert.Equal(with.Length - MastersIn(b), Save(plain).Length);
        Assert.All(Masters(plain), Assert.Null);
        Step(plain, a, 3);
        master.load_state_dict(plain.state_dict());
        Assert.All(b.parameters().Zip(Masters(master)), pair => Compare.Identical(pair.First.to(ScalarType.Float32), pair.Second!, "master"));
    }

    /// <summary>Around a master's optimizer, whose file has its own sections before the wrapper's.</summary>
    [Fact]
    public void A_wrapped_optimizer_finds_its_memory_behind_the_copies()
    {
        using var scope = NewDisposeScope();
        var p = new Parameter(ones(3, ScalarType.BFloat16));
        ClippedOptimizer New(bool master) => stab.optim.ClippedOptimizer(Optimizers["Adam amsgrad"]([("p", p)], master), GradientClip.ZScore(warmup: 2));
        foreach (bool saved in new[] { true, false })
            foreach (bool loaded in new[] { true, false })
            {
                using ClippedOptimizer from = New(saved), into = New(loaded);
                p.grad = full_like(p, 0.5);
                from.step();
                using var file = new MemoryStream();
                from.save_state_dict(new BinaryWriter(file));
                file.Position = 0;
                into.load_state_dict(new BinaryReader(file));
                Assert.Equal(file.Length, file.Position);
            }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_damaged_file_is_refused_and_changes_nothing(string kind)
    {
        using var scope = NewDisposeScope();
        ClippingAwareOptimizer Trained(int seed)
        {
            var p = new Parameter(full(3, seed, ScalarType.BFloat16)) { grad = full(3, 0.3, ScalarType.BFloat16) };
            var optimizer = Optimizers[kind]([("p", p)], true);
            for (int step = 0; step < 2; step++) optimizer.step();
            return optimizer;
        }
        using ClippingAwareOptimizer from = Trained(1), into = Trained(2);
        byte[] whole = Save(from), before = Save(into);
        int masters = whole.Length - (nameof(MomentState.master_param).Length + 1 + 1 + 3 + (3 * sizeof(float))); // marker, flag, header
        Assert.Equal(nameof(MomentState.master_param).Length, whole[masters]);
        for (int length = 0; length < whole.Length; length++)
        {
            if (length >= masters && length < masters + 13) continue; // a file that ends here has no copies
            Assert.ThrowsAny<Exception>(() => Load(into, whole[..length]));
            Assert.True(before.AsSpan().SequenceEqual(Save(into)), $"{length} of {whole.Length} bytes changed the state");
        }
        byte[] other = [.. whole];
        other[masters + 16] ^= 0xFF; // the copy's size
        Assert.ThrowsAny<Exception>(() => Load(into, other));
        Assert.True(before.AsSpan().SequenceEqual(Save(into)));
        using var packed = new MemoryStream();
        using (var writer = new GZipStream(packed, CompressionMode.Compress, leaveOpen: true)) writer.Write(whole);
        packed.Position = 0;
        into.load_state_dict(new BinaryReader(new GZipStream(packed, CompressionMode.Decompress)));
        Assert.Equal(whole, Save(into));
    }

    [Fact]
    public void A_rebound_parameter_has_the_copy_that_its_dtype_needs()
    {
        using var scope = NewDisposeScope();
        using var network = Network(1);
        using var optimizer = stab.optim.Adam(network.named_parameters(), 1e-4, master_weights: true);
        for (int step = 0; step < 3; step++) Step(optimizer, network, step);
        var masters = Masters(optimizer).ConvertAll(m => m!.clone());
        network.to(CPU);
        optimizer.rebind(network);
        foreach (var (x, y) in masters.Zip(Masters(optimizer))) Compare.Identical(x, y!, "kept");
        network.to(ScalarType.Float32);
        optimizer.rebind(network);
        Assert.All(Masters(optimizer), Assert.Null);
        Make.Backward(network, 1, ScalarType.Float32);
        optimizer.step();
        network.to(ScalarType.Float16);
        optimizer.rebind(network);
        Make.Backward(network, 2, ScalarType.Float16);
        optimizer.step();
        Assert.All(network.parameters().Zip(Masters(optimizer)), pair => Compare.Identical(pair.First, pair.Second!.to(ScalarType.Float16), "rounded"));
        optimizer.rebind([.. network.named_parameters().Select((p, i) => i > 0 ? p : (p.name, new Parameter(full([2, 2], 0.1, ScalarType.Float16))))]);
        Compare.Identical(full([2, 2], 0.1, ScalarType.Float16).to(ScalarType.Float32), Masters(optimizer)[0]!, "of another shape");
    }

    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    public void Skipped_and_overflowed_steps_leave_the_copies_alone(ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        foreach (var make in Optimizers.Values)
        {
            Parameter small = Make.Parameter(full(3, 0.5, dtype)), bad = Make.Parameter(full(3, 0.5, dtype));
            using var optimizer = make([("small", small), ("bad", bad)], true);
            optimizer.step();
            var before = optimizer.state_dict().State.SelectMany(s => ((MomentState)s).Moments()).Append(small).Append(bad).Select(t => t.clone()).ToList();
            void AssertUnchanged()
            {
                var now = optimizer.state_dict().State.SelectMany(s => ((MomentState)s).Moments()).Append(small).Append(bad).ToList();
                Assert.Equal(before.Count, now.Count);
                foreach (var (x, y) in before.Zip(now)) Compare.Identical(x, y, "anything");
            }
            bad.grad = full(3, double.NaN, dtype);
            optimizer.step();
            Assert.True(optimizer.LastStep.Skipped);
            AssertUnchanged();
            var scaler = stab.amp.GradScaler();
            scaler.step(optimizer);
            Assert.True(optimizer.LastStep.Overflowed);
            AssertUnchanged();
            optimizer.Spikes = SpikePolicy.Skip(1, 2);
            optimizer.accumulate(2);
            bad.grad = full(3, 0.5, dtype);
            optimizer.step();
            AssertUnchanged();
        }
    }

    /// <summary>A finite gradient whose update is not finite: parameter, moments and copy go back, whether or not the step has made the copy.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_update_that_overflows_is_taken_back(bool late)
    {
        using var scope = NewDisposeScope();
        Parameter small = Make.Parameter(ones(3, ScalarType.BFloat16)), large = Make.Parameter(full(3, 3e38, ScalarType.BFloat16));
        using var optimizer = stab.optim.SGD([("small", small), ("large", large)], 1000, master_weights: !late);
        ((TorchStab.Modules.SGD.ParamGroup)optimizer.ParamGroups.Single()).Options.master_weights = true;
        optimizer.step();
        Assert.Equal("large", optimizer.LastStep.FirstNonFinite);
        Assert.All(new[] { small, large }, p => Compare.Identical(ones(3, ScalarType.BFloat16), p, "parameter"));
        if (late) Assert.Null(Masters(optimizer)[1]);
        else Compare.Identical(ones(3), Masters(optimizer)[1]!, "master");
    }

    [Fact]
    public void Nothing_is_left_and_a_step_allocates_nothing_for_a_parameter()
    {
        using var scope = NewDisposeScope();
        foreach (var make in Optimizers.Values)
        {
            Assert.Equal(Allocated(make, 10), Allocated(make, 300));
            using var p = Make.Parameter(ones(3, ScalarType.BFloat16));
            using var optimizer = make([("p", p)], true);
            byte[] file = Save(optimizer);
            LiveTensors.AssertNoneLeft(() =>
            {
                optimizer.step();
                using (KernelForm.TensorOps()) optimizer.step();
                Load(optimizer, file);
                optimizer.load_state_dict(optimizer.state_dict());
                optimizer.to(CPU);
            });
        }

        static long Allocated(Func<IEnumerable<(string, Parameter)>, bool, ClippingAwareOptimizer> make, int parameters)
        {
            using var optimizer = make([.. Enumerable.Range(0, parameters).Select(i => ($"p{i}", Make.Parameter(ones(64, ScalarType.BFloat16))))], true);
            for (int i = 0; i < 3; i++) optimizer.step();
            long before = GC.GetAllocatedBytesForCurrentThread();
            optimizer.step();
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
    }

    /// <summary>λ·‖w‖ of the copy, with what was written by hand since: 0.9984 rounds to 1 in bfloat16.</summary>
    [Fact]
    public void Adaptive_clipping_measures_the_copy()
    {
        using var scope = NewDisposeScope();
        var p = new Parameter(ones(1, ScalarType.BFloat16)) { grad = full(1, 4.0, ScalarType.BFloat16) };
        using var optimizer = stab.optim.SGD([p], 4e-3, master_weights: true);
        optimizer.Clip = GradientClip.Adaptive(0.1);
        double exact = 1;
        for (int step = 0; step < 4; step++)
        {
            optimizer.step();
            Assert.Equal(1, optimizer.LastStep.Coefficient / (0.1 * exact / 4), Tolerance.Float32);
            exact -= 4e-3 * 0.1 * exact;
            Assert.Equal(1, p.ToDouble());
        }
        using (no_grad()) p.fill_(2);
        optimizer.step();
        Assert.Equal(1, optimizer.LastStep.Coefficient / (0.1 * 2 / 4), Tolerance.Float32);
    }

    private static Sequential Network(int seed) => Make.Network(seed, ScalarType.BFloat16);

    private static void Step(ClippingAwareOptimizer optimizer, Sequential network, int seed)
    {
        optimizer.zero_grad();
        Make.Backward(network, seed, ScalarType.BFloat16);
        optimizer.step();
    }

    private static List<Tensor?> Masters(ClippingAwareOptimizer optimizer) => [.. optimizer.state_dict().State.Select(s => ((MomentState)s).master_param)];

    // The marker, and for each parameter a flag, dtype, rank, sizes (each below 128: a byte) and the elements.
    private static int MastersIn(Sequential network) => nameof(MomentState.master_param).Length + 1
        + network.parameters().Sum(p => 1 + 2 + (int)p.dim() + ((int)p.numel() * sizeof(float)));
}
