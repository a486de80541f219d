using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using TorchSharp.Modules;
using TorchStab.Clipping;
using TorchStab.Modules;

namespace TorchStab.Optimization;

/// <summary>
/// The options of an optimizer beside the learning rate and the thresholds, each declared once, in the order of the file format. What happens to all
/// options alike happens here: saving, loading, copying, filling in, checking.
/// </summary>
/// <param name="owner">Whose options they are, for messages.</param>
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

    /// <summary>Copies from options with this table, or from TorchSharp's.</summary>
    public void Copy(ClipOptions into, OptimizerOptions source)
    {
        var own = source as ClipOptions;
        if (own?.Table != this && !Array.Exists(hosts, host => host.IsInstanceOfType(source)))
            throw new InvalidOperationException($"expected the options of {owner}, got {source.GetType().FullName}");
        foreach (var option in options)
            if (own is not null) option.Copy(into, own);
            else option.Set(into, source.GetType().GetField(option.Name)!.GetValue(source));
    }

    /// <summary>Takes what is unset from <paramref name="defaults"/>.</summary>
    public void Fill(ClipOptions into, ClipOptions defaults)
    {
        foreach (var option in options) option.Fill(into, defaults);
    }

    /// <summary>Refuses the first option that is outside its range.</summary>
    public void Check(ClipOptions of)
    {
        foreach (var option in options) option.Check(of);
    }
}

/// <summary>One option: the name of its property, which is also that of PyTorch's argument, and what it may be.</summary>
internal abstract class Option(string name)
{
    public string Name => name;

    /// <summary>A number.</summary>
    /// <typeparam name="TOptions">The class that has the property.</typeparam>
    /// <param name="name">The property, a <c>double?</c>.</param>
    /// <param name="words">PyTorch's, which come before the refused value.</param>
    /// <param name="bounds">What it may be.</param>
    public static Option Number<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicProperties)] TOptions>(string name, string words, Bounds bounds) where TOptions : ClipOptions =>
        new Option<TOptions, double>(name, r => r.ReadDouble(), (w, v) => w.Write(v), v => bounds.Require(v, words, name));

    /// <summary>A choice.</summary>
    /// <typeparam name="TOptions">The class that has the property.</typeparam>
    /// <param name="name">The property, a <c>bool?</c>.</param>
    public static Option Flag<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicProperties)] TOptions>(string name) where TOptions : ClipOptions =>
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
/// An option of one type; its property is reached by delegates, so that the check of a step allocates nothing. The attribute keeps the property where a
/// program is trimmed or compiled ahead of time.
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

/// <summary>Which numbers an option may be.</summary>
/// <param name="Least">The smallest.</param>
/// <param name="Largest">The largest.</param>
/// <param name="Open">Whether <paramref name="Largest"/> itself is refused.</param>
internal readonly record struct Bounds(double Least, double Largest, bool Open = false)
{
    /// <summary>At least 0, and small enough for float32.</summary>
    public static Bounds Positive => new(0, Numbers.Largest);

    /// <summary>A part of the past that a running mean keeps: [0, 1).</summary>
    public static Bounds Decay => new(0, 1, Open: true);

    /// <exception cref="ArgumentException">It is outside, NaN or null.</exception>
    public void Require(double? value, string words, string name)
    {
        if (!(value >= Least && (Open ? value < Largest : value <= Largest)))
            throw new ArgumentException($"{words}{Repr.Of(value)}; expected a number in {this}", name);
    }

    /// <summary>As mathematics writes an interval.</summary>
    public override string ToString() => $"[{(Least == 0 ? "0" : Repr.Of(Least))}, {(Open ? FormattableString.Invariant($"{Largest})") : $"{Repr.Of(Largest)}]")}";
}
