using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Audit.Probes;

internal static class ModuleDefects
{
    public static IReadOnlyList<Defect> All { get; } =
    [
        new("load_state_dict broadcasts a wrong shape", "stab.nn norms: an error that names the key", Broadcast),
        new("norm.bias = norm.bias destroys the bias", "stab.nn norms: nothing happens", OwnBias),
        new("a fused layer does not train on", "stab.nn.utils.fuse_linear_bn_eval, fuse_conv_bn_eval: leaves", Fused),
        new("there is no fuse_conv_bn_eval", "stab.nn.utils.fuse_conv_bn_eval, fuse_norms", FuseConv),
        new("non-persistent buffers stay behind in to()", "stab.nn modules move all they have", Buffers),
        new("the library asks for GLIBCXX_3.4.32 (Linux)", "the package's build step relaxes it", Glibcxx),
    ];

    private static string? Broadcast()
    {
        using var norm = nn.LayerNorm(4);
        try
        {
            norm.load_state_dict(new Dictionary<string, Tensor> { ["weight"] = full([1], 7.0), ["bias"] = zeros(4) });
        }
        catch (Exception)
        {
            return null;
        }
        return "one value fills four weights";
    }

    private static string? OwnBias()
    {
        using var norm = nn.BatchNorm1d(3);
        norm.bias = norm.bias;
        return norm.bias!.IsInvalid ? "it is disposed" : null;
    }

    private static string? Fused()
    {
        using var linear = nn.Linear(2, 3);
        using var norm = nn.BatchNorm1d(3);
        linear.eval();
        norm.eval();
        using var fused = nn.utils.fuse_linear_bn_eval(linear, norm);
        return fused.weight.is_leaf ? null : "its weight is no leaf and gets no gradient";
    }

    private static string? FuseConv() => typeof(nn.utils).GetMethods().Any(m => m.Name == "fuse_conv_bn_eval") ? null : "only its weights' functions";

    private static string? Buffers()
    {
        using var module = new WithBuffer();
        module.to(ScalarType.Float64);
        return module.Buffer.dtype == ScalarType.Float64 ? null : $"it stays {module.Buffer.dtype}";
    }

    private static string? Glibcxx()
    {
        const string wanted = "GLIBCXX_3.4.32";
        if (!RuntimeInformation.IsOSPlatform(OSPlatform.Linux)) return null;
        string? library = Directory.EnumerateFiles(AppContext.BaseDirectory, "libLibTorchSharp.so", SearchOption.AllDirectories).FirstOrDefault()
            ?? throw new FileNotFoundException("libLibTorchSharp.so is not beside the program");
        return File.ReadAllBytes(library).AsSpan().IndexOf("GLIBCXX_3.4.32"u8) >= 0 ? $"{wanted}: GCC 13 and newer" : null;
    }

    private sealed class WithBuffer : nn.Module
    {
        public WithBuffer() : base(nameof(WithBuffer))
        {
            Buffer = zeros(1);
            register_buffer("buffer", Buffer, persistent: false);
        }

        public Tensor Buffer { get; private set; }
    }
}
