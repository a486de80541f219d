using System.Globalization;
using TorchStab.Samples;

namespace Gallery;

/// <summary>One run over the experiments: hands units to a crew, concludes when an experiment's seeds are all there, and shows how far it is.</summary>
internal sealed class Tour(Settings settings, Lab lab, ResultFolder folder)
{
    private readonly Dictionary<string, Dictionary<int, SeedRun>> _runs = settings.Experiments.ToDictionary(e => e.Name, _ => new Dictionary<int, SeedRun>());
    private readonly Dictionary<string, double> _seconds = settings.Experiments.ToDictionary(e => e.Name, _ => 0.0);
    private readonly Dictionary<Unit, double> _underway = [];
    private readonly List<ExperimentResult> _results = [];

    /// <summary>Those that are done, in the order in which they were.</summary>
    public IReadOnlyList<ExperimentResult> Results => _results;

    /// <exception cref="SampleException">A worker failed, or a file cannot be written.</exception>
    /// <exception cref="OperationCanceledException">Ctrl-C.</exception>
    public void Run(ProgressView view, CancellationToken stop)
    {
        Unit[] units = [.. from experiment in settings.Experiments from seed in lab.Seeds select new Unit(experiment, seed)];
        new Crew(settings, stop).Work(units,
            (unit, share) =>
            {
                _underway[unit] = share;
                Show(view, unit.Experiment, "", milestone: false);
            },
            (unit, run, seconds) =>
            {
                _underway.Remove(unit);
                _runs[unit.Experiment.Name][unit.Seed] = run;
                _seconds[unit.Experiment.Name] += seconds;
                Show(view, unit.Experiment, Conclude(unit.Experiment), milestone: true);
            });
    }

    /// <summary>Decides and draws from what an earlier run left in the folder.</summary>
    /// <exception cref="SampleException">It left nothing for one of the experiments.</exception>
    public void Again()
    {
        foreach (var experiment in settings.Experiments)
        {
            var record = folder.LoadRecord(experiment) ?? throw new SampleException($"the folder has no runs of {experiment.Name}. Run it without --again.");
            string remedy = record.Short ? "were short: add" : "were not short: leave out";
            if (record.Short != lab.Quick) throw new SampleException($"the runs of {experiment.Name} {remedy} --quick.");
            Conclude(experiment, record);
        }
    }

    /// <returns>The verdict; empty while seeds are missing.</returns>
    private string Conclude(IExperiment experiment)
    {
        var runs = _runs[experiment.Name];
        if (runs.Count < lab.Seeds.Count) return "";
        var record = new Record(lab.Seeds, [.. lab.Seeds.Select(seed => runs[seed])], lab.Quick, _seconds[experiment.Name], DateTimeOffset.UtcNow,
            RunsOn.Describe());
        folder.Save(experiment, record);
        return Conclude(experiment, record);
    }

    private string Conclude(IExperiment experiment, Record record)
    {
        var finding = experiment.Conclude(lab, record.Runs);
        var result = ExperimentResult.Of(experiment, lab, finding, record);
        folder.Save(result, finding.Pictures);
        _results.Add(result);
        return result.Words;
    }

    private void Show(ProgressView view, IExperiment experiment, string verdict, bool milestone)
    {
        int done = _runs[experiment.Name].Count;
        double underway = _underway.Where(pair => pair.Key.Experiment == experiment).Sum(pair => pair.Value);
        string[] cells = [$"{done} of {lab.Seeds.Count}", _seconds[experiment.Name].ToString("0", CultureInfo.InvariantCulture), verdict];
        view.Update(new ProgressRow(experiment.Name, (done + underway) / lab.Seeds.Count, cells), milestone);
    }
}
