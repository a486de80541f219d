using System.Diagnostics;
using System.Globalization;
using static TorchSharp.torch;

namespace Audit;

/// <summary>Tries defects, those that abort in a process of their own. Nothing that a probe does ends the audit.</summary>
internal static class Auditor
{
    public const string ChildOption = "--probe";
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    /// <summary>Null: interrupted.</summary>
    public static Finding? Try(Defect defect, bool quick, CancellationToken stop) => (defect.Aborts, quick) switch
    {
        (false, _) => Here(defect),
        (true, true) => new(defect, Presence.NotProbed, "aborts the process; without --quick it is tried in one of its own"),
        (true, false) => InAnotherProcess(defect, stop),
    };

    /// <summary>What the child does: the probe, and its finding as the last line.</summary>
    public static int RunAsChild(string index)
    {
        var finding = Here(Catalogue.All[int.Parse(index, CultureInfo.InvariantCulture)]);
        Console.WriteLine($"{finding.Presence}: {finding.Seen}");
        return 0;
    }

    private static Finding Here(Defect defect)
    {
        using var scope = NewDisposeScope();
        manual_seed(1);
        try
        {
            string? seen = defect.Probe();
            return seen is null ? new(defect, Presence.Gone, "") : new(defect, Presence.Present, seen);
        }
        catch (Exception e)
        {
            return new(defect, Presence.NotProbed, $"the probe failed: {e.Message.ReplaceLineEndings(" ")}");
        }
    }

    private static Finding? InAnotherProcess(Defect defect, CancellationToken stop)
    {
        var (exitCode, lastLine) = Child(Catalogue.All.Index().First(d => d.Item == defect).Index, stop);
        if (stop.IsCancellationRequested) return null;
        if (exitCode is null) return new(defect, Presence.NotProbed, $"no answer in {Patience.TotalSeconds:0} s");
        if (exitCode != 0) return new(defect, Presence.Present, $"the process ended with {exitCode}");
        string[] parts = lastLine.Split(": ", 2);
        return Enum.TryParse(parts[0], out Presence presence) ? new(defect, presence, parts[^1]) : new(defect, Presence.NotProbed, "the probe said nothing");
    }

    private static (int? ExitCode, string LastLine) Child(int index, CancellationToken stop)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true, RedirectStandardError = true };
        // Started as "dotnet Audit.dll" or as a program of its own.
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet") start.ArgumentList.Add(typeof(Auditor).Assembly.Location);
        start.ArgumentList.Add(ChildOption);
        start.ArgumentList.Add($"{index}");
        start.Environment["DOTNET_DbgEnableMiniDump"] = "0";
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        _ = process.StandardError.ReadToEndAsync(CancellationToken.None);
        using var end = stop.Register(() => process.Kill(entireProcessTree: true));
        if (!process.WaitForExit(Patience))
        {
            process.Kill(entireProcessTree: true);
            return (null, "");
        }
        return (process.ExitCode, output.Result.TrimEnd().Split('\n')[^1].Trim());
    }
}
