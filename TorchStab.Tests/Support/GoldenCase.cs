using System.Text.Json;
using static TorchSharp.torch;

namespace TorchStab.Tests.Support;

/// <summary>One case of a <see cref="GoldenSuite"/>: arguments, given tensors, expected tensors with their tolerances.</summary>
internal sealed class GoldenCase
{
    private readonly GoldenSuite _suite;
    private readonly JsonElement _tensors;

    internal GoldenCase(GoldenSuite suite, JsonElement json)
    {
        _suite = suite;
        Json = json;
        _tensors = json.TryGetProperty("tensors", out var t) ? t : default;
    }

    public JsonElement Json { get; }

    public string Id => Json.GetProperty("id").GetString()!;

    public string Op => Json.GetProperty("op").GetString()!;

    public string Tag => Json.TryGetProperty("tag", out var t) ? t.GetString()! : "";

    public JsonElement Params => Json.TryGetProperty("params", out var p) ? p : default;

    /// <summary>The case's dtype; the first one where parameters cycle through a list.</summary>
    public ScalarType Dtype => !Json.TryGetProperty("dtype", out var d) ? ScalarType.Float32
        : ToScalarType(d.ValueKind == JsonValueKind.Array ? d[0].GetString()! : d.GetString()!);

    public bool ExpectsError => Json.TryGetProperty("expect_error", out _);

    /// <summary>PyTorch's words where <see cref="ExpectsError"/>.</summary>
    public string ErrorMessage => Json.GetProperty("expect_error").GetProperty("message").GetString()!;

    public IEnumerable<string> Roles => _tensors.ValueKind == JsonValueKind.Object ? _tensors.EnumerateObject().Select(p => p.Name) : [];

    public bool Has(string role) => _tensors.ValueKind == JsonValueKind.Object && _tensors.TryGetProperty(role, out _);

    /// <summary>The stored tensor, with its strides; shared between cases, so clone it before changing it in place.</summary>
    public Tensor this[string role]
    {
        get
        {
            var spec = _tensors.GetProperty(role);
            return _suite.Buffer(spec.TryGetProperty("buffer", out var b) ? b.GetString()! : $"{Id}__{role}");
        }
    }

    public Tensor? Optional(string role) => Has(role) ? this[role] : null;

    /// <summary>A number of <c>params</c>; JSON null and a missing key are null, and "inf", "-inf", "nan" are numbers.</summary>
    public double? Number(string name)
    {
        if (Params.ValueKind != JsonValueKind.Object || !Params.TryGetProperty(name, out var p)) return null;
        return ToNumber(p);
    }

    public bool Flag(string name, bool otherwise = false) =>
        Params.ValueKind == JsonValueKind.Object && Params.TryGetProperty(name, out var p) && p.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? p.GetBoolean() : otherwise;

    public static double? ToNumber(JsonElement json) => json.ValueKind switch
    {
        JsonValueKind.Null => null,
        JsonValueKind.String => json.GetString() switch
        {
            "inf" => double.PositiveInfinity,
            "-inf" => double.NegativeInfinity,
            "nan" => double.NaN,
            var s => throw new FormatException($"not a number: '{s}'"),
        },
        _ => json.GetDouble(),
    };

    public static ScalarType ToScalarType(string name) => name switch
    {
        "float64" => ScalarType.Float64,
        "float32" => ScalarType.Float32,
        "float16" => ScalarType.Float16,
        "bfloat16" => ScalarType.BFloat16,
        "int64" => ScalarType.Int64,
        "int32" => ScalarType.Int32,
        "bool" => ScalarType.Bool,
        _ => throw new FormatException($"unknown dtype '{name}'"),
    };

    /// <summary>
    /// Asserts the expectation of a role: same shape, NaN and infinities in the same places, and the largest difference of the
    /// rest within the case's tolerance of PyTorch's value or, where the suite has it, of the exact formula's (<c>ref_ROLE</c>).
    /// </summary>
    public void Check(string role, Tensor? actual)
    {
        Assert.True(actual is not null, $"{Id} {Op} {Tag}: {role} is missing");
        // Counters come without a tolerance: they are exact.
        double tol = _tensors.GetProperty(role).TryGetProperty("tol", out var t) ? ToNumber(t)!.Value : 0;
        string? miss = Mismatch(this[role], actual, tol);
        if (miss is not null && Has("ref_" + role)) miss = Mismatch(this["ref_" + role], actual, tol);
        Assert.True(miss is null, $"{Id} {Op} {Tag}: {role}: {miss}");
    }

    private static string? Mismatch(Tensor expected, Tensor actual, double tol)
    {
        using var scope = NewDisposeScope();
        if (!expected.shape.SequenceEqual(actual.shape))
            return $"shape [{string.Join(", ", actual.shape)}], expected [{string.Join(", ", expected.shape)}]";
        if (expected.numel() == 0) return null;
        using var _ = no_grad();
        var e = expected.detach().to(ScalarType.Float64);
        var a = actual.detach().to(ScalarType.Float64);
        var finite = e.isfinite();
        if (!finite.equal(a.isfinite()).all().item<bool>() || !e.isnan().equal(a.isnan()).all().item<bool>()) return "non-finite values differ";
        var same = e.eq(a).logical_or(e.isnan());
        if (!finite.logical_or(same).all().item<bool>()) return "an infinity has the other sign";
        double worst = where(finite, (e - a).abs(), zeros_like(e)).max().item<double>();
        return worst <= tol ? null : $"off by {worst:g4}, tolerance {tol:g4}";
    }
}
