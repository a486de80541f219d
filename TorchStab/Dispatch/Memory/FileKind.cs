using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>Tells regular files from other files, because .NET does not distinguish a device, a pipe or a socket from a regular file.</summary>
internal static unsafe class FileKind
{
    // Offsets of the mode in Linux's struct statx, which is the same on all processors, and in struct stat of macOS on arm64, the only one with a libtorch
    // package.
    private const int StatxMode = 28, StatMode = 4, CurrentFolder = -100, Largest = 256;
    private const uint TypeWanted = 1;
    private const ushort TypeMask = 0xF000, RegularFile = 0x8000;

    private static readonly nint Statx = OperatingSystem.IsLinux() ? Export("libc.so.6", "statx") : 0;
    private static readonly nint Stat = OperatingSystem.IsMacOS() ? Export("libSystem.dylib", "stat") : 0;

    /// <summary>Whether an existing path is a regular file, after following links. If the system call is missing: whether it is not a folder.</summary>
    public static bool IsRegular(string path) => Mode(path) is { } mode ? (mode & TypeMask) == RegularFile : File.Exists(path);

    private static ushort? Mode(string path)
    {
        byte* status = stackalloc byte[Largest];
        nint name = Marshal.StringToCoTaskMemUTF8(path);
        try
        {
            if (Statx != 0 && ((delegate* unmanaged<int, nint, int, uint, byte*, int>)Statx)(CurrentFolder, name, 0, TypeWanted, status) == 0)
                return *(ushort*)(status + StatxMode);
            if (Stat != 0 && ((delegate* unmanaged<nint, byte*, int>)Stat)(name, status) == 0) return *(ushort*)(status + StatMode);
            return null;
        }
        finally
        {
            Marshal.FreeCoTaskMem(name);
        }
    }

    private static nint Export(string library, string name) =>
        NativeLibrary.TryLoad(library, out nint handle) && NativeLibrary.TryGetExport(handle, name, out nint address) ? address : 0;
}
