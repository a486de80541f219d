namespace Audit;

/// <summary>Something that goes wrong in a release of TorchSharp.</summary>
/// <param name="Name">What goes wrong, in a few words.</param>
/// <param name="Instead">What TorchStab gives in its place.</param>
/// <param name="Probe">Tries it: what it saw where the defect is present, null where it is gone.</param>
/// <param name="Aborts">The defect ends the process, so it is tried in another one.</param>
internal sealed record Defect(string Name, string Instead, Func<string?> Probe, bool Aborts = false);

/// <summary>What an audit found out about a defect.</summary>
internal enum Presence
{
    Present,
    Gone,
    NotProbed,
}

/// <param name="Defect">Which.</param>
/// <param name="Presence">Whether the installed TorchSharp has it.</param>
/// <param name="Seen">What the probe saw, or why there was none.</param>
internal sealed record Finding(Defect Defect, Presence Presence, string Seen);
