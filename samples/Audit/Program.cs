using System.Reflection;
using Audit;
using TorchSharp;
using TorchStab;
using TorchStab.Samples;

// On the main thread, which SampleProgram keeps out of harm's way.
if (args is [Auditor.ChildOption, var probe]) return Auditor.RunAsChild(probe);
var commandLine = new CommandLine();
return SampleProgram.Run(commandLine.Root, args, (parsed, stop) => Run(commandLine.IsQuick(parsed), stop));

static void Run(bool quick, CancellationToken stop)
{
    Report.Line($"TorchSharp {Version(typeof(torch))}, TorchStab {Version(typeof(stab))}");
    var findings = new List<Finding>();
    foreach (var (area, defects) in Catalogue.Areas)
    {
        Finding[] some = [.. defects.TakeWhile(_ => !stop.IsCancellationRequested).Select(defect => Auditor.Try(defect, quick, stop)).OfType<Finding>()];
        if (some.Length > 0) Report.Texts(area, ["defect", "TorchSharp", "TorchStab gives"], some.Select(Row));
        findings.AddRange(some);
    }
    int Count(Presence presence) => findings.Count(f => f.Presence == presence);
    Report.Line($"{Count(Presence.Present)} present, {Count(Presence.Gone)} gone, {Count(Presence.NotProbed)} not probed");
}

static IReadOnlyList<string> Row(Finding f) => [f.Defect.Name, f.Presence switch
{
    Presence.Present => $"PRESENT: {f.Seen}",
    Presence.Gone => "gone",
    _ => $"not probed: {f.Seen}",
}, f.Defect.Instead];

static string Version(Type type) =>
    (type.Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? $"{type.Assembly.GetName().Version}").Split('+')[0];
