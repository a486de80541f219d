using System.Reflection;
using TorchStab.Dispatch;
using TorchStab.Tests.Support;

namespace TorchStab.Tests.Architecture;

/// <summary>Calls into LibTorchSharp: no handle is used unchecked, and no C++ exception meets an export that does not catch it.</summary>
public class NativeCallTests
{
    // 0 of Grad is a missing gradient; SavedInputs looks at what the other two give.
    private static readonly string[] CheckedByTheCaller = ["Grad", "Save", "Unpack"];

    [Fact]
    public void What_makes_a_handle_is_reached_through_a_method_that_looks_at_it()
    {
        var fields = new[] { typeof(LibTorch),
            typeof(AutogradLibrary) }.SelectMany(t => t.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic))
            .Where(f => f.FieldType.IsFunctionPointer && f.FieldType.GetFunctionPointerReturnType() == typeof(nint)).ToList();
        Assert.NotEmpty(fields);
        Assert.Equal(CheckedByTheCaller, fields.Where(f => !f.IsPrivate).Select(f => f.Name).Order());
    }

    /// <summary>THSAutograd_grad is the one export without a catch that the library could want and that runs what can raise.</summary>
    [Fact]
    public void Nothing_calls_the_export_that_catches_nothing() =>
        SourceFile.AssertNone(SourceFile.In("TorchStab").SelectMany(f => f.Find(@"\bautograd\s*\.\s*grad\s*\(|\bTHSAutograd_grad\b")));
}
