using System.Reflection;

namespace Gallery;

/// <summary>
/// One claim from the literature, tried on real data. To add one: a class in <c>Experiments/</c> that derives from
/// <see cref="Experiment{TSetting}"/> and has a constructor without parameters. It is found by itself: the command line, the page and
/// the tests know it from then on.
/// </summary>
internal interface IExperiment
{
    /// <summary>Its place on the page, from 1.</summary>
    int Number { get; }

    /// <summary>What <c>--only</c> takes and its files are called: lower case, without blanks.</summary>
    string Name { get; }

    string Title { get; }

    /// <summary>What the papers say, so that numbers can decide it.</summary>
    string Claim { get; }

    IReadOnlyList<Paper> Sources { get; }

    /// <summary>Seconds that a seed takes, about: what the time left is reckoned from.</summary>
    double Cost { get; }

    /// <summary>Whether it measures times, so that nothing else may run meanwhile.</summary>
    bool Alone { get; }

    /// <summary>Data, networks and training, and where they differ from the paper's.</summary>
    string SetUp(Lab lab);

    /// <summary>Runs everything under one seed, in whatever process.</summary>
    /// <exception cref="OperationCanceledException">The run was interrupted.</exception>
    SeedRun Measure(Lab lab, int seed);

    /// <summary>Decides from the runs, one for each seed of <paramref name="lab"/> in their order.</summary>
    Finding Conclude(Lab lab, IReadOnlyList<SeedRun> seeds);
}

/// <summary>Every experiment of this program, in the page's order.</summary>
internal static class Catalogue
{
    public static IReadOnlyList<IExperiment> All { get; } =
    [
        .. Assembly.GetExecutingAssembly().GetTypes()
            .Where(type => type is { IsAbstract: false, IsInterface: false } && type.IsAssignableTo(typeof(IExperiment)))
            .Select(type => (IExperiment)Activator.CreateInstance(type)!)
            .OrderBy(experiment => experiment.Number),
    ];
}
