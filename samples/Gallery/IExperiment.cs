using System.Reflection;

namespace Gallery;

/// <summary>
/// One claim from the literature, tried on real data. To add one: a class in <c>Experiments/</c> that derives from
/// <see cref="Experiment{TRun}"/> and has a constructor without parameters. It is found by itself: the command line, the page and
/// the tests know it from then on.
/// </summary>
internal interface IExperiment
{
    /// <summary>Its place on the page, from 1.</summary>
    int Number { get; }

    /// <summary>What <c>--only</c> takes and its files are called: lower case, without blanks.</summary>
    string Name { get; }

    string Title { get; }

    /// <summary>What the paper says, so that numbers can decide it.</summary>
    string Claim { get; }

    /// <summary>Authors, year, title, and the section or figure.</summary>
    string Source { get; }

    /// <summary>Data, networks and training, and where they differ from the paper's.</summary>
    string SetUp(Lab lab);

    /// <summary>Runs it over the seeds of <paramref name="lab"/>.</summary>
    /// <exception cref="OperationCanceledException">The run was interrupted.</exception>
    Finding Run(Lab lab);
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
