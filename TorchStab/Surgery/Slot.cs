using System.Reflection;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// One place that holds a module: a field of an object or an element of an array, or a field of a struct inside either (the tuples in
/// TorchSharp's tables). Knows which module it belongs to and which declaration in user code it goes back to.
/// </summary>
/// <param name="Holder">The object or array.</param>
/// <param name="Index">The element; −1 for a field of an object.</param>
/// <param name="Fields">The way from there through structs to the reference; empty for an array of references.</param>
/// <param name="Type">What the place can hold.</param>
/// <param name="Owner">The innermost module it is part of.</param>
/// <param name="Declaration">The innermost field declared outside TorchSharp and .NET.</param>
internal sealed record Slot(object Holder, int Index, FieldInfo[] Fields, Type Type, nn.Module Owner, FieldInfo? Declaration)
{
    /// <summary>Whether the reference is what a hash table finds its entry by; changing it in place would break the table.</summary>
    public bool IsHashKey => Fields.Length > 0 && Fields[0].DeclaringType is { IsGenericType: true, DeclaringType: { } table } entry
        && ((table.Name == typeof(Dictionary<,>).Name && entry.Name == "Entry" && Fields[0].Name == "key") || table.Name == typeof(HashSet<>).Name);

    /// <summary>A delegate bound to the module, which nothing can re-bind.</summary>
    public bool IsDelegate => Holder is Delegate;

    public bool Accepts(Type module) => !IsHashKey && !IsDelegate && Type.IsAssignableFrom(module);

    public void Set(nn.Module value)
    {
        if (Index < 0)
        {
            SetField(Holder, 0, value);
            return;
        }
        var array = (Array)Holder;
        if (Fields.Length == 0)
        {
            array.SetValue(value, Index);
            return;
        }
        object element = array.GetValue(Index)!;
        SetField(element, 0, value);
        array.SetValue(element, Index);
    }

    // Structs come out boxed: change the box, put it back.
    private void SetField(object target, int depth, nn.Module value)
    {
        if (depth == Fields.Length - 1)
        {
            Fields[depth].SetValue(target, value);
            return;
        }
        object box = Fields[depth].GetValue(target)!;
        SetField(box, depth + 1, value);
        Fields[depth].SetValue(target, box);
    }
}
