using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Modules;

namespace TorchStab.Optimization;

/// <summary>
/// Declares the options of an optimizer except the learning rate and the thresholds, in the order of the file format. Saves, loads, copies, completes and
/// checks them.
/// </summary>
/// <param name="owner">The optimizer's name, for messages.</param>
/// <param name="hosts">TorchSharp's classes of the same options, whose fields have the same names.</param>
/// <param name="options">The options.</param>
internal sealed class OptionTable(string owner, Type[] hosts, Option[] options)
{
    public void Save(ClipOptions from, BinaryWriter writer)
    {
        foreach (var option in options) option.Save(from, writer);
    }

    public void Load(ClipOptions into, BinaryReader reader)
    {
        foreach (var option in options) option.Load(into, reader);
    }

    /// <summary>Copies the values of options with this table, or of TorchSharp's options.</summary>
    public void Copy(ClipOptions into, OptimizerOptions source)
    {
        var own = source as ClipOptions;
        if (own?.Table != this && !Array.Exists(hosts, host => host.IsInstanceOfType(source)))
            throw new InvalidOperationException($"expected the options of {owner}, got {source.GetType().FullName}");
        foreach (var option in options)
            if (own is not null) option.Copy(into, own);
            else option.Set(into, source.GetType().GetField(option.Name)!.GetValue(source));
    }

    /// <summary>Sets the options that are null to those of <paramref name="defaults"/>.</summary>
    public void Fill(ClipOptions into, ClipOptions defaults)
    {
        foreach (var option in options) option.Fill(into, defaults);
    }

    /// <summary>Throws for the first option that is outside its range.</summary>
    public void Check(ClipOptions of)
    {
        foreach (var option in options) option.Check(of);
    }
}

/// <summary>One option: the name of its property, which is also the name of PyTorch's argument, and its range.</summary>
internal abstract class Option(string name)
{
    public string Name => name;

    /// <summary>An option that is a number.</summary>
    /// <typeparam name="TOptions">The class that has the property.</typeparam>
    /// <param name="name">The property, a <c>double?</c>.</param>
    /// <param name="words">PyTorch's message, to which the invalid value is appended.</param>
    /// <param name="bounds">The valid range.</param>
    public static Option Number<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicProperties)] TOptions>(string name, string words,
        Bounds bounds) where TOptions : ClipOptions =>
        new Option<TOptions, double>(name, r => r.ReadDouble(), (w, v) => w.Write(v), v => bounds.Require(v, words, name));

    /// <summary>An option that is true or false.</summary>
    /// <typeparam name="TOptions">The class that has the property.</typeparam>
    /// <param name="name">The property, a <c>bool?</c>.</param>
    public static Option Flag<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicProperties)] TOptions>(string name)
        where TOptions : ClipOptions =>
        new Option<TOptions, bool>(name, r => r.ReadBoolean(), (w, v) => w.Write(v), v =>
        {
            if (v is null) throw new ArgumentException($"expected {name} to be set, got null", name);
        });

    public abstract void Save(ClipOptions from, BinaryWriter writer);

    public abstract void Load(ClipOptions into, BinaryReader reader);

    public abstract void Set(ClipOptions into, object? value);

    public abstract void Copy(ClipOptions into, ClipOptions source);

    public abstract void Fill(ClipOptions into, ClipOptions defaults);

    public abstract void Check(ClipOptions of);
}

/// <summary>
/// An option of one type; delegates access its property, so that the check in each step allocates nothing. The attribute keeps the property
/// when a program is trimmed or compiled ahead of time.
/// </summary>
internal sealed class Option<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicProperties)] TOptions, TValue>(
    string name, Func<BinaryReader, TValue> read, Action<BinaryWriter, TValue> write, Action<TValue?> check) : Option(name)
    where TOptions : ClipOptions where TValue : struct
{
    private static readonly BindingFlags Public = BindingFlags.Public | BindingFlags.Instance;

    private readonly Func<TOptions, TValue?> _get = typeof(TOptions).GetProperty(name, Public)!.GetMethod!.CreateDelegate<Func<TOptions, TValue?>>();
    private readonly Action<TOptions, TValue?> _set = typeof(TOptions).GetProperty(name, Public)!.SetMethod!.CreateDelegate<Action<TOptions, TValue?>>();

    public override void Save(ClipOptions from, BinaryWriter writer) => write(writer, _get((TOptions)from)!.Value);

    public override void Load(ClipOptions into, BinaryReader reader) => _set((TOptions)into, read(reader));

    public override void Set(ClipOptions into, object? value) => _set((TOptions)into, (TValue?)value);

    public override void Copy(ClipOptions into, ClipOptions source) => _set((TOptions)into, _get((TOptions)source));

    public override void Fill(ClipOptions into, ClipOptions defaults) => _set((TOptions)into, _get((TOptions)into) ?? _get((TOptions)defaults));

    public override void Check(ClipOptions of) => check(_get((TOptions)of));
}

/// <summary>The range of an option.</summary>
/// <param name="Least">The smallest.</param>
/// <param name="Largest">The largest.</param>
/// <param name="Open">Whether <paramref name="Largest"/> itself is outside the range.</param>
internal readonly record struct Bounds(double Least, double Largest, bool Open = false)
{
    /// <summary>From 0 to a number that is small enough for float32.</summary>
    public static Bounds Positive => new(0, Numbers.Largest);

    /// <summary>The decay of a running mean: [0, 1).</summary>
    public static Bounds Decay => new(0, 1, Open: true);

    /// <exception cref="ArgumentException">The value is outside the range, NaN or null.</exception>
    public void Require(double? value, string words, string name)
    {
        if (!(value >= Least && (Open ? value < Largest : value <= Largest)))
            throw new ArgumentException($"{words}{Repr.Of(value)}; expected a number in {this}", name);
    }

    /// <summary>The range as an interval, for example [0, 1).</summary>
    public override string ToString() =>
        $"[{(Least == 0 ? "0" : Repr.Of(Least))}, {(Open ? FormattableString.Invariant($"{Largest})") : $"{Repr.Of(Largest)}]")}";
}
