namespace Gallery;

/// <summary>The trainings of all seeds. Every arm is looked at where it did best on the validation images, which no verdict is about.</summary>
internal sealed class Runs(IReadOnlyList<SeedRun> seeds, IReadOnlyList<(string Arm, IReadOnlyList<double> Rates)> arms, Func<Trained, double>? score = null)
{
    /// <summary>The learning rate with the best mean score over the seeds.</summary>
    public double Rate(string arm) => Rates(arm).MaxBy(rate => At(arm, rate, score ?? (run => run.Score)).Mean);

    /// <summary>The rates that were tried.</summary>
    public IReadOnlyList<double> Rates(string arm) => arms.First(a => a.Arm == arm).Rates;

    /// <summary>A number of this arm at its rate.</summary>
    public Measured Of(string arm, Func<Trained, double> number, string format = "0.000") => At(arm, Rate(arm), number, format);

    /// <summary>The last number of a series of this arm at its rate.</summary>
    public Measured Last(string arm, string series, string format = "0.000") => Of(arm, run => run.Last(series), format);

    /// <summary>A number of this arm at a rate that is not chosen but said.</summary>
    public Measured At(string arm, double rate, Func<Trained, double> number, string format = "0.000") => new([.. Trainings(arm, rate).Select(number)], format);

    /// <summary>The trainings of this arm at this rate, one a seed.</summary>
    public IReadOnlyList<Trained> Trainings(string arm, double rate) => [.. seeds.Select(seed => seed[SeedRun.Key(arm, rate)])];

    /// <summary>A series of this arm at its rate, look by look: of the seeds that got that far.</summary>
    public IReadOnlyList<Measured> Curve(string arm, string series)
    {
        var curves = Trainings(arm, Rate(arm)).Select(run => run.Series[series]).ToArray();
        return [.. Enumerable.Range(0, curves.Max(c => c.Length)).Select(i => new Measured([.. curves.Where(c => i < c.Length).Select(c => c[i])]))];
    }

    /// <summary>The same runs with rates chosen by something else that was measured on the validation images.</summary>
    public Runs By(Func<Trained, double> other) => new(seeds, arms, other);

    /// <summary>The same runs with one rate for all.</summary>
    public Runs Only(double rate) => new(seeds, [.. arms.Select(a => (a.Arm, (IReadOnlyList<double>)[rate]))]);

    /// <summary>“arm, rate 0.1”: a legend that hides no choice.</summary>
    public string Label(string arm) => Rates(arm).Count == 1 ? arm : $"{arm}, rate {Rate(arm)}";

    /// <summary>Every score that a choice was made from; null: no arm had a choice.</summary>
    public ResultTable? Choices()
    {
        var choosers = arms.Where(a => a.Rates.Count > 1).ToArray();
        if (choosers.Length == 0) return null;
        double[] all = [.. choosers.SelectMany(a => a.Rates).Distinct().Order()];
        return new ResultTable("Score on the validation images by learning rate (the chosen rate stands beside the name; more is better)",
            ["network", .. all.Select(r => $"{r}")],
            [.. choosers.Select(a => new ResultRow(Label(a.Arm), [.. all.Select(r => a.Rates.Contains(r) ? At(a.Arm, r, run => run.Score) : null)]))]);
    }
}
