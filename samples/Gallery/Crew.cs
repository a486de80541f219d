using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using TorchStab.Samples;

namespace Gallery;

/// <summary>Workers that share units among them: as many at a time as were asked for, or one where an experiment measures times.</summary>
internal sealed class Crew(Settings settings, CancellationToken stop)
{
    private readonly Lock _reporting = new();
    private readonly ConcurrentDictionary<Unit, string> _failed = new();

    /// <summary>Works through all units, those that must be alone last.</summary>
    /// <param name="units">In the order in which they start.</param>
    /// <param name="progress">Gets a unit and the share of it that is done; one call at a time.</param>
    /// <param name="done">Gets a unit, its runs and the processor's seconds for them; one call at a time.</param>
    /// <exception cref="SampleException">A worker failed twice on the same unit.</exception>
    /// <exception cref="OperationCanceledException">Ctrl-C.</exception>
    public void Work(IReadOnlyList<Unit> units, Action<Unit, double> progress, Action<Unit, SeedRun, double> done)
    {
        foreach (bool alone in new[] { false, true })
        {
            var queue = new ConcurrentQueue<Unit>(units.Where(unit => unit.Experiment.Alone == alone));
            var workers = Enumerable.Range(0, Math.Min(alone ? 1 : settings.Jobs, queue.Count)).Select(_ =>
                Task.Factory.StartNew(() => Serve(queue, progress, done), TaskCreationOptions.LongRunning)).ToArray();
            try
            {
                Task.WaitAll(workers);
            }
            catch (AggregateException e)
            {
                stop.ThrowIfCancellationRequested();
                throw e.InnerExceptions.OfType<SampleException>().FirstOrDefault() ?? e.InnerException!;
            }
        }
    }

    private void Serve(ConcurrentQueue<Unit> queue, Action<Unit, double> progress, Action<Unit, SeedRun, double> done)
    {
        using var worker = Start();
        using var end = stop.Register(worker.Kill);
        var errors = worker.StandardError.ReadToEndAsync(CancellationToken.None);
        while (queue.TryDequeue(out var unit))
        {
            var run = Ask(worker, unit, progress);
            if (run is null)
            {
                stop.ThrowIfCancellationRequested();
                Retry(queue, unit, errors.Result.Trim());
                Serve(queue, progress, done);
                return;
            }
            lock (_reporting) done(unit, run.Value.Run, run.Value.Seconds);
        }
        worker.StandardInput.Close();
        worker.WaitForExit();
    }

    /// <summary>
    /// Once more in a new process: TorchSharp may free a number that libtorch still reads, which ends the process now and then, and a seed
    /// gives the same numbers there. What fails twice is a defect of ours.
    /// </summary>
    private void Retry(ConcurrentQueue<Unit> queue, Unit unit, string error)
    {
        if (_failed.TryAdd(unit, error))
        {
            queue.Enqueue(unit);
            return;
        }
        queue.Clear();
        throw new SampleException($"the process that ran {unit.Experiment.Name} with seed {unit.Seed} ended twice: {error}");
    }

    /// <returns>Null: the worker ended.</returns>
    private (SeedRun Run, double Seconds)? Ask(Process worker, Unit unit, Action<Unit, double> progress)
    {
        try
        {
            worker.StandardInput.WriteLine(unit);
            worker.StandardInput.Flush();
        }
        catch (IOException)
        {
            return null;
        }
        while (worker.StandardOutput.ReadLine() is { } line)
        {
            if (line.StartsWith(Worker.Result) && line.Split(' ', 2) is [var seconds, var json])
                return (JsonSerializer.Deserialize<SeedRun>(json, ExperimentResult.Lines)!, double.Parse(seconds[1..], CultureInfo.InvariantCulture));
            if (!line.StartsWith(Worker.Progress)) continue;
            lock (_reporting) progress(unit, double.Parse(line[1..], CultureInfo.InvariantCulture));
        }
        return null;
    }

    private Process Start()
    {
        string program = Environment.ProcessPath!;
        // Either this program's own executable, or the dotnet command, which needs to be told what to run.
        bool isDotNet = Path.GetFileNameWithoutExtension(program) == "dotnet";
        var start = new ProcessStartInfo(program, [.. isDotNet ? [typeof(Crew).Assembly.Location] : Array.Empty<string>(), .. CommandLine.Worker(settings)])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        return Process.Start(start)!;
    }
}
