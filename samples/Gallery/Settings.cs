namespace Gallery;

/// <summary>What the command line asks for.</summary>
internal sealed record Settings(IReadOnlyList<IExperiment> Experiments, bool Quick, IReadOnlyList<int> Seeds, DirectoryInfo Data, DirectoryInfo Out);
