using Audit.Probes;

namespace Audit;

/// <summary>Every defect there is a probe for. A new one: a function in Probes/ and its line there.</summary>
internal static class Catalogue
{
    public static IReadOnlyList<(string Area, IReadOnlyList<Defect> Defects)> Areas { get; } =
    [
        ("initialization", InitDefects.All),
        ("normalization", NormDefects.All),
        ("clipping", ClippingDefects.All),
        ("optimizers", OptimizerDefects.All),
        ("modules and state", ModuleDefects.All),
        ("crashes", CrashDefects.All),
    ];

    public static IReadOnlyList<Defect> All { get; } = [.. Areas.SelectMany(area => area.Defects)];
}
