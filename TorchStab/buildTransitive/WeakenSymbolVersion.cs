// Compiled by MSBuild while a user's project is built (RoslynCodeTaskFactory), hence plain C# 7.3 and no dependency.
using System;
using System.IO;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

namespace TorchStab.Build
{
    /// <summary>
    /// Writes a copy of an ELF library in which one symbol version requirement is marked weak (VER_FLG_WEAK), so that the
    /// loader accepts a system library without that version. Nothing is written where the library has no such requirement.
    /// </summary>
    public class WeakenSymbolVersion : Task
    {
        [Required] public string SourceFile { get; set; }
        [Required] public string DestinationFile { get; set; }
        [Required] public string StampFile { get; set; }
        [Required] public string VersionName { get; set; }

        public override bool Execute()
        {
            try
            {
                Directory.CreateDirectory(Path.GetDirectoryName(DestinationFile));
                byte[] image = File.ReadAllBytes(SourceFile);
                // The destination may be hard-linked into an output folder: replace the file, never write into it.
                File.Delete(DestinationFile);
                int flags = ElfVersionNeeds.FindFlags(image, VersionName);
                if (flags >= 0)
                {
                    image[flags] |= ElfVersionNeeds.Weak;
                    File.WriteAllBytes(DestinationFile, image);
                }
                File.WriteAllText(StampFile, flags >= 0 ? "weakened at " + flags : "left alone");
            }
            catch (Exception e) when (e is IOException || e is UnauthorizedAccessException)
            {
                Log.LogError(null, "TORCHSTAB002", null, SourceFile, 0, 0, 0, 0, "TorchStab could not prepare {0}: {1}", DestinationFile, e.Message);
            }
            return !Log.HasLoggedErrors;
        }
    }

    /// <summary>Reads the version requirements of a little-endian ELF64 file the way the loader does: over PT_DYNAMIC.</summary>
    public static class ElfVersionNeeds
    {
        /// <summary>VER_FLG_WEAK.</summary>
        public const byte Weak = 2;

        private const int EntrySize = 16; // of Verneed and Vernaux alike
        private const uint Load = 1, Dynamic = 2;
        private const long StringTable = 5, VersionNeed = 0x6ffffffe, VersionNeedCount = 0x6fffffff;

        /// <summary>Offset in the file of <c>vna_flags</c> of the named version; -1 where the file has none (or is not such a file).</summary>
        public static int FindFlags(byte[] elf, string versionName)
        {
            try { return IsElf64(elf) ? Find(elf, versionName) : -1; }
            catch (ArgumentException) { return -1; } // a truncated or malformed file: not ours to judge, so left alone
            catch (IndexOutOfRangeException) { return -1; }
            catch (OverflowException) { return -1; }
        }

        private static bool IsElf64(byte[] b)
        {
            return b.Length > 64 && b[0] == 0x7f && b[1] == 'E' && b[2] == 'L' && b[3] == 'F' && b[4] == 2 && b[5] == 1;
        }

        private static int Find(byte[] elf, string versionName)
        {
            long needs = 0, count = 0, strings = 0;
            int dynamic = FindSegment(elf, Dynamic, -1);
            if (dynamic < 0) return -1;
            for (int at = dynamic; BitConverter.ToInt64(elf, at) != 0; at += 16)
            {
                long tag = BitConverter.ToInt64(elf, at), value = BitConverter.ToInt64(elf, at + 8);
                if (tag == VersionNeed) needs = value;
                if (tag == VersionNeedCount) count = value;
                if (tag == StringTable) strings = value;
            }
            return needs == 0 || strings == 0 ? -1 : Walk(elf, ToOffset(elf, needs), count, ToOffset(elf, strings), versionName);
        }

        private static int Walk(byte[] elf, int need, long count, int strings, string versionName)
        {
            // A corrupt count, or a link of a chain to itself, must not keep the build busy: a file holds at most so many entries.
            int left = elf.Length / EntrySize;
            for (; count > 0; count--)
            {
                int entry = checked(need + (int)BitConverter.ToUInt32(elf, need + 8));
                for (int entries = BitConverter.ToUInt16(elf, need + 2); entries > 0; entries--)
                {
                    if (left-- == 0) return -1;
                    int name = checked(strings + (int)BitConverter.ToUInt32(elf, entry + 8));
                    if (NameIs(elf, name, versionName)) return entry + 4;
                    entry = checked(entry + (int)BitConverter.ToUInt32(elf, entry + 12));
                }
                int next = checked((int)BitConverter.ToUInt32(elf, need + 12));
                if (next < EntrySize) return -1; // 0 is the last one
                need = checked(need + next);
            }
            return -1;
        }

        /// <summary>File offset of the first segment of that type or, with an address, of that address in the PT_LOAD segment that holds it.</summary>
        private static int FindSegment(byte[] elf, uint type, long address)
        {
            long table = BitConverter.ToInt64(elf, 32);
            int size = BitConverter.ToUInt16(elf, 54), count = BitConverter.ToUInt16(elf, 56);
            for (int i = 0; i < count; i++)
            {
                int header = checked((int)(table + (long)i * size));
                if (BitConverter.ToUInt32(elf, header) != type) continue;
                long offset = BitConverter.ToInt64(elf, header + 8), start = BitConverter.ToInt64(elf, header + 16),
                    length = BitConverter.ToInt64(elf, header + 32);
                if (address < 0) return checked((int)offset);
                if (address >= start && address < start + length) return checked((int)(offset + address - start));
            }
            return -1;
        }

        private static int ToOffset(byte[] elf, long address)
        {
            int offset = FindSegment(elf, Load, address);
            if (offset < 0) throw new ArgumentException("address outside of every loaded segment");
            return offset;
        }

        private static bool NameIs(byte[] elf, int at, string name)
        {
            byte[] wanted = Encoding.ASCII.GetBytes(name + "\0");
            for (int i = 0; i < wanted.Length; i++)
                if (elf[at + i] != wanted[i]) return false;
            return true;
        }
    }
}
