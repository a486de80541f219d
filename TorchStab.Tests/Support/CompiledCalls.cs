using System.Reflection;
using System.Reflection.Emit;

namespace TorchStab.Tests.Support;

/// <summary>The calls in compiled functions.</summary>
internal static class CompiledCalls
{
    private static readonly Dictionary<ushort, OperandType> Operands = typeof(OpCodes).GetFields().Select(field => (OpCode)field.GetValue(null)!)
        .ToDictionary(code => (ushort)code.Value, code => code.OperandType);

    /// <summary>Every function of an assembly with what it calls; those of a local function or a lambda stand under the compiler's name for it.</summary>
    public static IEnumerable<(MethodBase From, MethodBase[] To)> In(Assembly assembly) => assembly.GetTypes()
        .SelectMany(type => type.GetMembers((BindingFlags)(-1) & ~(BindingFlags.IgnoreCase | BindingFlags.FlattenHierarchy)).OfType<MethodBase>()
            .Where(method => method.DeclaringType == type))
        .Select(method => (method, Of(method).ToArray()));

    private static IEnumerable<MethodBase> Of(MethodBase method)
    {
        byte[] code = method.GetMethodBody()?.GetILAsByteArray() ?? [];
        for (int at = 0; at < code.Length;)
        {
            var operand = Operands[code[at] == 0xFE ? (ushort)(0xFE00 | code[at + 1]) : code[at]];
            at += code[at] == 0xFE ? 2 : 1;
            if (operand == OperandType.InlineMethod)
                yield return method.Module.ResolveMethod(BitConverter.ToInt32(code, at), TypeArguments(method), MethodArguments(method))!;
            at += Size(operand, code, at);
        }
    }

    private static Type[]? TypeArguments(MethodBase method) => method.DeclaringType!.IsGenericType ? method.DeclaringType.GetGenericArguments() : null;

    private static Type[]? MethodArguments(MethodBase method) => method.IsGenericMethod ? method.GetGenericArguments() : null;

    private static int Size(OperandType operand, byte[] code, int at) => operand switch
    {
        OperandType.InlineNone => 0,
        OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
        OperandType.InlineVar => 2,
        OperandType.InlineI8 or OperandType.InlineR => 8,
        OperandType.InlineSwitch => 4 + 4 * BitConverter.ToInt32(code, at),
        _ => 4,
    };
}
