using System.Reflection;
using System.Reflection.Emit;

namespace TorchStab.Surgery;

/// <summary>What a method's code names: types it casts to, members it calls. Nothing where there is no code to read (a native program).</summary>
internal static class MethodCode
{
    private static readonly Dictionary<short, OpCode> Codes = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(f => (OpCode)f.GetValue(null)!).ToDictionary(c => c.Value);

    /// <summary>The instructions that name a type or member, each with the member that the instruction before it names.</summary>
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

    private static byte[] Bytes(MethodBase method)
    {
        try
        {
            return method.GetMethodBody()?.GetILAsByteArray() ?? [];
        }
        catch (Exception e) when (e is NotSupportedException or InvalidOperationException or FileNotFoundException)
        {
            return [];
        }
    }

    private static MemberInfo? Resolve(MethodBase method, int token)
    {
        try
        {
            var ofType = method.DeclaringType is { IsGenericType: true } type ? type.GetGenericArguments() : null;
            return method.Module.ResolveMember(token, ofType, method.IsGenericMethod ? method.GetGenericArguments() : null);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException or FileNotFoundException or FileLoadException or TypeLoadException or BadImageFormatException)
        {
            return null; // of an assembly that is not there
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
