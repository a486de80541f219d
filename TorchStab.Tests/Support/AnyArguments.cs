using System.Reflection;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Support;

/// <summary>
/// Draws an argument for any parameter of the public surface: most often one that makes sense, else a null, a disposed tensor, a wrong
/// rank, size, dtype or device, a number that is none. Remembers the tensors it gave out as they were.
/// </summary>
internal sealed class AnyArguments(Random random, bool anyDevice = false)
{
    private static readonly double[] OddNumbers = [double.NaN, double.PositiveInfinity, double.NegativeInfinity, -1, 0, double.Epsilon, 1e308];
    private static readonly ScalarType[] OddTypes = [ScalarType.Int64, ScalarType.Bool, ScalarType.Float16, ScalarType.ComplexFloat32, ScalarType.Byte];
    private static readonly ScalarType[] Types = [ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16];
    private readonly List<(string Name, Tensor Given, Tensor Before)> _given = [];
    private readonly ScalarType _type = Types[random.Next(Types.Length)];
    private readonly int _channels = random.Next(1, 5);

    /// <summary>The latest model given out.</summary>
    public nn.Module? Model { get; private set; }

    public object? Draw(ParameterInfo parameter)
    {
        if (parameter.IsOut) return null;
        if (parameter.HasDefaultValue && random.Next(3) > 0) return Default(parameter);
        var type = Nullable.GetUnderlyingType(parameter.ParameterType) ?? parameter.ParameterType;
        return type switch
        {
            _ when type == typeof(bool) => random.Next(2) == 0,
            _ when type == typeof(double) => Odd() ? OddNumbers[random.Next(OddNumbers.Length)] : random.NextDouble(),
            _ when type == typeof(long) => Odd() ? random.NextInt64(-2, 8) : _channels,
            _ when type == typeof(int) => random.Next(-1, 4),
            _ when type == typeof(ScalarType) => Type(),
            _ when type.IsEnum => Enum.ToObject(type, Odd() ? 99 : random.Next(Enum.GetValues(type).Length)),
            _ when random.Next(12) == 0 => null,
            _ when type == typeof(Device) => CPU,
            _ when type == typeof(Generator) => new Generator(7, CPU),
            _ when type == typeof(Tensor) => Tensor(parameter.Name!),
            _ when type == typeof(long[]) => Sizes(),
            _ => Other(type),
        };
    }

    /// <summary>A tensor as input of a norm, or one of the size of its channels.</summary>
    public Tensor Tensor(string name)
    {
        bool input = name is "input" or "tensor" or "batch" or "example";
        long[] shape = Odd() ? Sizes() : input ? [random.Next(1, 4), _channels, .. Sizes().Take(random.Next(3))] : [_channels];
        var (dtype, t) = (Type(), randn(shape).mul(random.Next(8) == 0 ? double.NaN : 1));
        t = t.to(dtype);
        if (t.dim() > 1 && random.Next(4) == 0) t = t.transpose(0, 1).contiguous().transpose(0, 1);
        if (t.dim() > 0 && random.Next(8) == 0) t = t.unsqueeze(0).expand([2, .. t.shape])[1];
        if (anyDevice && random.Next(8) == 0) t = t.to(META); // another device, on any machine
        if (t.is_floating_point() && random.Next(2) == 0) t.requires_grad_();
        return Remember(name, t);
    }

    public long[] Sizes() => [.. Enumerable.Range(0, random.Next(6)).Select(_ => random.Next(8) == 0 ? 0 : random.NextInt64(1, 5))];

    /// <summary>Fails where a tensor given out is not as it was. Those named in <paramref name="changed"/> may differ.</summary>
    public void AssertUnchanged(string what, params IReadOnlyCollection<string> changed)
    {
        foreach (var (name, given, before) in _given.Where(g => !g.Given.IsInvalid && !changed.Contains(g.Name)))
            Assert.True(given.dtype == before.dtype && given.shape.SequenceEqual(before.shape) && Same(given, before), $"{what} changed {name}");
    }

    private static bool Same(Tensor a, Tensor b) => a.device_type == DeviceType.META || a.eq(b).logical_or(a.ne(a).logical_and(b.ne(b))).all().item<bool>();

    private static object? Default(ParameterInfo parameter)
    {
        var type = Nullable.GetUnderlyingType(parameter.ParameterType) ?? parameter.ParameterType;
        return type.IsEnum && parameter.DefaultValue is { } number ? Enum.ToObject(type, number) : parameter.DefaultValue;
    }

    private object? Other(Type type)
    {
        if (type == typeof(IEnumerable<Parameter>)) return Parameters();
        if (type == typeof(IEnumerable<(string, Parameter)>)) return Parameters().Select((p, i) => ($"p{i % 3}", p)).ToList();
        if (type == typeof(IEnumerable<Tensor>)) return Parameters().Select(p => p?.IsInvalid == false && p.grad is { } g ? g : null!).ToList();
        if (type == typeof(IList<Tensor>)) return TensorList();
        if (type == typeof(IEnumerable<(Tensor, Tensor)>)) return new[] { (Tensor("input"), Tensor("weight")) };
        if (typeof(nn.Module).IsAssignableFrom(type)) return Model = Modules().FirstOrDefault(type.IsInstanceOfType);
        if (type == typeof(optim.Optimizer)) return optim.SGD([new Parameter(ones(2))], 0.1);
        if (type == typeof(NonFinitePolicy)) return new[] { NonFinitePolicy.Skip(), NonFinitePolicy.Throw, NonFinitePolicy.Propagate }[random.Next(3)];
        if (type == typeof(GradientClip)) return Make.Rules(1)[random.Next(9)];
        if (type == typeof(Func<string, bool>)) return (string _) => random.Next(2) == 0;
        if (type.IsGenericType && typeof(ParamGroup).IsAssignableFrom(type.GetGenericArguments()[0])) return Groups(type.GetGenericArguments()[0]);
        if (type.Namespace == "TorchStab" | typeof(TorchStab.Modules.ClipOptions).IsAssignableFrom(type) && type.GetConstructor([]) is not null)
            return Options(type);
        if (type == typeof(Action)) return () => { };
        return null;
    }

    // As the tensor drawn last, one for each of two ranks; seldom not.
    private List<Tensor> TensorList()
    {
        var like = _given.Count > 0 && !Odd() ? _given[^1].Before : ones(2);
        return [.. Enumerable.Range(0, Odd() ? random.Next(4) : 2).Select(_ => random.Next(15) == 0 ? null! : Remember("tensor_list", zeros_like(like)))];
    }

    /// <summary>A group of an optimizer's own class by any of its constructors; null where that refuses.</summary>
    public object? Group(Type type)
    {
        var constructor = type.GetConstructors()[random.Next(type.GetConstructors().Length)];
        object?[] values = [.. constructor.GetParameters().Select(Draw)];
        return IsRefused(() => constructor.Invoke(BindingFlags.DoNotWrapExceptions, null, values, null), out object? group) ? null : group;
    }

    private Array Groups(Type type)
    {
        var groups = Array.CreateInstance(type, random.Next(3));
        for (int i = 0; i < groups.Length; i++) groups.SetValue(Group(type), i);
        return groups;
    }

    // Every other option is set; what it refuses stays as it was.
    private object Options(Type type)
    {
        object options = Activator.CreateInstance(type)!;
        foreach (var property in type.GetProperties().Where(p => p.SetMethod is { IsPublic: true } && random.Next(2) == 0))
        {
            object? value = Draw(property.SetMethod!.GetParameters()[0]);
            IsRefused(() => property.SetMethod!.Invoke(options, BindingFlags.DoNotWrapExceptions, null, [value], null), out _);
        }
        return options;
    }

    private static bool IsRefused(Func<object?> call, out object? result)
    {
        result = null;
        try
        {
            result = call();
            return false;
        }
        catch (ArgumentException)
        {
            return true;
        }
    }

    public List<Parameter> Parameters() =>
    [
        .. Enumerable.Range(0, random.Next(4)).Select(i =>
        {
            if (random.Next(15) == 0) return null!;
            var type = Types[random.Next(Types.Length)];
            var p = new Parameter(randn(Sizes()).to(type));
            if (random.Next(4) > 0) p.grad = randn_like(p).mul(random.Next(6) == 0 ? double.NaN : 1);
            if (p.grad is { } gradient) _given.Add(($"gradient {i}", gradient, gradient.clone()));
            if (random.Next(15) == 0) p.Dispose();
            return p;
        }),
    ];

    // In random order: the first that fits is taken.
    private nn.Module[] Modules()
    {
        nn.Module[] modules =
        [
            nn.Linear(_channels, 3), nn.Conv2d(_channels, 3, 1), nn.BatchNorm1d(3), stab.nn.BatchNorm2d(3), stab.nn.LayerNorm(3), nn.GroupNorm(1, 3),
            nn.Sequential(nn.Linear(_channels, 3), nn.BatchNorm1d(3), nn.ReLU()), nn.Sequential(),
            nn.Sequential(nn.Conv2d(_channels, 3, 1), stab.nn.BatchNorm2d(3)),
        ];
        foreach (var m in modules) m.train(random.Next(2) == 0);
        random.Shuffle(modules);
        if (random.Next(10) == 0) modules[0].Dispose();
        return modules;
    }

    private ScalarType Type() => Odd() ? OddTypes[random.Next(OddTypes.Length)] : _type;

    private bool Odd() => random.Next(5) == 0;

    private Tensor Remember(string name, Tensor t)
    {
        _given.Add((name, t, t.detach().clone()));
        if (random.Next(15) == 0) t.Dispose();
        return t;
    }
}
