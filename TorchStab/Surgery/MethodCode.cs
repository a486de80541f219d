using System.Reflection;
using System.Reflection.Emit;

namespace TorchStab.Surgery;

/// <summary>Reads the types and members that a method's IL code names. In a natively compiled program there is no IL, and the result is empty.</summary>
internal static class MethodCode
{
    private static readonly Dictionary<short, OpCode> Codes = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(f => (OpCode)f.GetValue(null)!).ToDictionary(c => c.Value);

    /// <summary>The instructions that name a type or member, each with the member that the previous instruction names.</summary>
    public static IEnumerable<(OpCode code, MemberInfo named, MemberInfo? before)> Of(MethodBase method)
    {
        byte[] code = Bytes(method);
        MemberInfo? before = null;
        for (int i = 0; i < code.Length;)
        {
            short value = code[i++];
            if (value == 0xFE && i < code.Length) value = unchecked((short)(0xFE00 | code[i++]));
            if (!Codes.TryGetValue(value, out var op)) yield break;
            int length = op.OperandType == OperandType.InlineSwitch ? 4 + (4 * BitConverter.ToInt32(code, i)) : Length(op.OperandType);
            var named = op.OperandType is OperandType.InlineMethod or OperandType.InlineField or OperandType.InlineType or OperandType.InlineTok
                ? Resolve(method, BitConverter.ToInt32(code, i)) : null;
            if (named is not null) yield return (op, named, before);
            before = named;
            i += length;
        }
    }

    /// <summary>The types of a method's local variables.</summary>
    public static IEnumerable<Type> Variables(MethodBase method) => Body(method)?.LocalVariables.Select(v => v.LocalType) ?? [];

    private static byte[] Bytes(MethodBase method) => Body(method)?.GetILAsByteArray() ?? [];

    private static MethodBody? Body(MethodBase method)
    {
        try
        {
            return method.GetMethodBody();
        }
        catch (Exception e) when (e is NotSupportedException or InvalidOperationException or FileNotFoundException)
        {
            return null;
        }
    }

    private static MemberInfo? Resolve(MethodBase method, int token)
    {
        try
        {
            var ofType = method.DeclaringType is { IsGenericType: true } type ? type.GetGenericArguments() : null;
            return method.Module.ResolveMember(token, ofType, method.IsGenericMethod ? method.GetGenericArguments() : null);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException or FileNotFoundException or FileLoadException
            or TypeLoadException or BadImageFormatException)
        {
            return null; // its assembly is missing
        }
    }

    private static int Length(OperandType operand) => operand switch
    {
        OperandType.InlineNone => 0,
        OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
        OperandType.InlineVar => 2,
        OperandType.InlineI8 or OperandType.InlineR => 8,
        _ => 4,
    };
}
