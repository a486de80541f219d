namespace Gallery;

/// <summary>What the command line asks for.</summary>
/// <param name="Experiments">Which.</param>
/// <param name="Quick">Whether seconds count and numbers do not.</param>
/// <param name="Seeds">Every experiment runs once with each.</param>
/// <param name="Jobs">How many processes run at a time.</param>
/// <param name="Again">Whether to decide and draw again from what the folder has, and run nothing.</param>
/// <param name="Data">Folder of MNIST.</param>
/// <param name="Out">Where results go.</param>
internal sealed record Settings(IReadOnlyList<IExperiment> Experiments, bool Quick, IReadOnlyList<int> Seeds, int Jobs, bool Again, DirectoryInfo Data,
    DirectoryInfo Out);
