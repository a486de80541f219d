using System.Reflection;
using System.Runtime.CompilerServices;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// Finds every slot inside a model that holds a module: fields and the fields behind properties, registration tables, the private lists of Sequential,
/// ModuleList and ModuleDict, users' own arrays, lists, tuples and closures. One walk over the objects finds all of them, so that a module is exchanged in
/// all of its slots or in none.
/// </summary>
internal sealed class ObjectGraph
{
    private const BindingFlags Declared = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
    private static readonly Assembly Host = typeof(nn.Module).Assembly;
    private static readonly ConditionalWeakTable<Type, FieldInfo[]> FieldCache = [];
    private readonly Dictionary<nn.Module, List<Slot>> _slots = new(ReferenceEqualityComparer.Instance);
    private readonly HashSet<object> _seen = new(ReferenceEqualityComparer.Instance);
    private readonly Queue<(object value, nn.Module owner, FieldInfo? declaration)> _pending = new();

    public ObjectGraph(nn.Module root)
    {
        TorchSharpInternals.RequireReflection(RuntimeFeature.IsDynamicCodeSupported);
        Enter(root, root, null);
        while (_pending.TryDequeue(out var next)) Scan(next.value, next.owner, next.declaration);
    }

    /// <summary>Every slot that holds the module.</summary>
    public IReadOnlyList<Slot> SlotsOf(nn.Module module) => _slots.TryGetValue(module, out var slots) ? slots : [];

    /// <summary>Every module that a slot holds, registered or not.</summary>
    public IEnumerable<nn.Module> Modules => _slots.Keys;

    private void Enter(object value, nn.Module owner, FieldInfo? declaration)
    {
        if (!IsOpaque(value) && _seen.Add(value)) _pending.Enqueue((value, value as nn.Module ?? owner, declaration));
    }

    private void Scan(object value, nn.Module owner, FieldInfo? declaration)
    {
        switch (value)
        {
            case Array array:
                ScanArray(array, owner, declaration);
                break;
            case Delegate function:
                foreach (var part in function.GetInvocationList())
                    if (part.Target is { } target) Found(new Slot(part, -1, [], target.GetType(), owner, declaration), target);
                break;
            default:
                ScanFields(value, value.GetType(), -1, [], value, owner, declaration);
                break;
        }
    }

    private void ScanArray(Array array, nn.Module owner, FieldInfo? declaration)
    {
        var element = array.GetType().GetElementType()!;
        if (array.Rank != 1 || !MayHoldModules(element)) return;
        for (int i = 0; i < array.Length; i++)
        {
            if (array.GetValue(i) is not { } item) continue;
            if (element.IsValueType) ScanFields(item, element, i, [], array, owner, declaration);
            else Found(new Slot(array, i, [], element, owner, declaration), item);
        }
    }

    /// <summary>Scans the fields of an object, or of a struct inside <paramref name="holder"/>, which the fields <paramref name="way"/> lead to.</summary>
    private void ScanFields(object value, Type type, int index, FieldInfo[] way, object holder, nn.Module owner, FieldInfo? declaration)
    {
        foreach (var field in FieldsOf(type))
        {
            if (field.GetValue(value) is not { } content) continue;
            FieldInfo[] path = [.. way, field];
            var source = IsUserCode(field.DeclaringType!) ? field : declaration;
            if (field.FieldType.IsValueType) ScanFields(content, field.FieldType, index, path, holder, owner, source);
            else Found(new Slot(holder, index, path, field.FieldType, owner, source), content);
        }
    }

    private void Found(Slot slot, object content)
    {
        if (content is nn.Module module)
        {
            if (!_slots.TryGetValue(module, out var slots)) _slots.Add(module, slots = []);
            slots.Add(slot);
        }
        Enter(content, slot.Owner, slot.Declaration);
    }

    private static FieldInfo[] FieldsOf(Type type) => FieldCache.GetValue(type, static t =>
    {
        List<FieldInfo> fields = [];
        for (var b = t; b is not null && b != typeof(object); b = b.BaseType)
            fields.AddRange(b.GetFields(Declared).Where(f => IsContent(f) && MayHoldModules(f.FieldType)));
        return [.. fields];
    });

    // Of TorchSharp's base classes only the table of children is scanned: hooks and the native callback belong to the module that has them.
    private static bool IsContent(FieldInfo field) => field.DeclaringType != typeof(nn.Module)
        ? !(field.DeclaringType!.IsGenericType && field.DeclaringType.GetGenericTypeDefinition() == typeof(nn.HookableModule<,>))
        : field.Name == "_internal_submodules";

    private static bool MayHoldModules(Type type)
    {
        if (type.IsPrimitive || type.IsEnum || type.IsPointer || type.IsFunctionPointer || type == typeof(string)) return false;
        if (Nullable.GetUnderlyingType(type) is not null) return false; // boxing returns the value, so the field could not be written back
        if (type.IsArray) return MayHoldModules(type.GetElementType()!);
        return !typeof(Tensor).IsAssignableFrom(type) && !(type.IsValueType && FieldsOf(type).Length == 0);
    }

    /// <summary>Whether an object is not scanned: tensors, and objects of .NET and TorchSharp other than modules, containers and closures.</summary>
    private static bool IsOpaque(object value)
    {
        var type = value.GetType();
        if (value is Tensor or string || type.IsPrimitive || type.IsEnum) return true;
        if (value is nn.Module or Array or Delegate) return false;
        return !(IsUserCode(type) || value is ITuple || IsContainer(type));
    }

    private static bool IsContainer(Type type) => type.Namespace is { } space && (space == typeof(OrderedDict<,>).Namespace
            || space.StartsWith("System.Collections", StringComparison.Ordinal) || space.StartsWith("Microsoft.FSharp", StringComparison.Ordinal))
        || (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(Lazy<>));

    public static bool IsUserCode(Type type) => type.Assembly != Host && type.Assembly != typeof(ObjectGraph).Assembly
        && type.Assembly.GetName().Name is { } name && name is not ("System.Private.CoreLib" or "FSharp.Core")
        && !name.StartsWith("System.", StringComparison.Ordinal);
}
