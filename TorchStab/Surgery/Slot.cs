using System.Reflection;
using static TorchSharp.torch;

namespace TorchStab.Surgery;

/// <summary>
/// A variable that holds a module: a field of an object, an element of an array, or a field of a struct inside either (such as the tuples in TorchSharp's
/// tables). It also says which module it belongs to, and which declaration in user code it comes from.
/// </summary>
/// <param name="Holder">The object or array.</param>
/// <param name="Index">The index of the array's element; −1 for a field of an object.</param>
/// <param name="Fields">The fields that lead from there through structs to the reference; empty for an array of references.</param>
/// <param name="Type">The declared type, which a new value must have.</param>
/// <param name="Owner">The innermost module that it belongs to.</param>
/// <param name="Declaration">The innermost field declared outside TorchSharp and .NET.</param>
internal sealed record Slot(object Holder, int Index, FieldInfo[] Fields, Type Type, nn.Module Owner, FieldInfo? Declaration)
{
    /// <summary>Whether the reference is the key of a hash table; a change in place would break the table.</summary>
    public bool IsHashKey => Fields.Length > 0 && Fields[0].DeclaringType is { IsGenericType: true, DeclaringType: { } table } entry
        && ((table.Name == typeof(Dictionary<,>).Name && entry.Name == "Entry" && Fields[0].Name == "key") || table.Name == typeof(HashSet<>).Name);

    /// <summary>Whether it is a delegate that is bound to the module; a delegate cannot be bound to another one.</summary>
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

    // Reflection returns a boxed copy of a struct: change the copy and write it back.
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
