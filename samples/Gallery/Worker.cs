using System.Globalization;
using System.Text.Json;

namespace Gallery;

/// <summary>One experiment under one seed: what a worker gets at a time.</summary>
internal sealed record Unit(IExperiment Experiment, int Seed)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Experiment.Name} {Seed}");

    public static Unit Parse(string line) =>
        line.Split(' ') is [var name, var seed] ? new Unit(Catalogue.All.First(e => e.Name == name), int.Parse(seed, CultureInfo.InvariantCulture))
            : throw new FormatException(line);
}

/// <summary>
/// A process that reads units from its input, a line each, and writes how far it is and what it found to its output. Processes, because
/// libtorch has one generator of random numbers for all threads of a process, and equal seeds must give equal numbers.
/// </summary>
internal static class Worker
{
    public const char Progress = 'p', Result = 'r';
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(0.5);

    /// <summary>Works until the input ends.</summary>
    public static void Serve(Lab lab, TextReader input, TextWriter output)
    {
        var last = DateTime.MinValue;
        while (input.ReadLine() is { } line)
        {
            var unit = Unit.Parse(line);
            lab.Begin(share =>
            {
                if (DateTime.UtcNow - last < Pause) return;
                last = DateTime.UtcNow;
                Write($"{Progress}{share.ToString("0.000", CultureInfo.InvariantCulture)}");
            });
            var before = Environment.CpuUsage.TotalTime;
            var run = unit.Experiment.Measure(lab, unit.Seed);
            double seconds = (Environment.CpuUsage.TotalTime - before).TotalSeconds;
            Write(string.Create(CultureInfo.InvariantCulture, $"{Result}{seconds:0.000} {JsonSerializer.Serialize(run, ExperimentResult.Lines)}"));
        }

        void Write(string line)
        {
            output.WriteLine(line);
            output.Flush();
        }
    }
}
