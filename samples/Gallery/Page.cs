using System.Globalization;
using System.Net;
using System.Text;

namespace Gallery;

/// <summary>The page: one HTML file with everything in it, for a phone, a screen and paper.</summary>
internal static class Page
{
    private const string Command = "dotnet run --project samples/Gallery";

    /// <param name="experiments">All there are: one without a result is listed as not run.</param>
    public static string Write(IReadOnlyList<(IExperiment Experiment, Shown? Shown)> experiments)
    {
        var html = new StringBuilder();
        Head(html, experiments.Count);
        Runs(html, [.. experiments.Where(e => e.Shown is not null).Select(e => e.Shown!.Result)]);
        Multiples(html, experiments);
        foreach (var (experiment, shown) in experiments)
        {
            if (shown is not null) Section(html, shown);
            else html.Append($"<section id=\"{experiment.Name}\"><h2>{Title(experiment.Number, experiment.Title)}</h2>\n"
                + $"<p>{Badge(null)} Not in this folder yet: {Code($"{Command} -- --only {experiment.Name}")}</p></section>\n");
        }
        return html.Append("</main>\n</body>\n</html>\n").ToString();
    }

    private static void Head(StringBuilder html, int claims)
    {
        html.Append($"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>TorchStab gallery</title>
            <style>
            {Style()}
            </style>
            </head>
            <body>
            <main>
            <h1>What the papers claim, tried</h1>
            <p>Gradients, initialization, clipping and normalization: {claims} claims of the literature as experiments on real data with TorchStab.
            A check compares runs of the same seed in pairs and looks at the {Interval.Level:0 %} interval of the mean difference (Student's t):
            <em>yes</em> if it lies wholly on the side that the claim names, <em>no</em> if wholly on the other, <em>undecided</em> if on both.
            A claim <em>holds</em> if all its checks say yes, <em>holds in part</em> if the main one does and another does not,
            <em>does not hold</em> if the main one says no. Learning rates are chosen for each network by validation images that nothing else looks at.
            Numbers are mean ± standard deviation over the seeds; shades and whiskers in the diagrams are {Interval.Level:0 %} intervals of the mean
            (shades end at the least and the most that was measured),
            a cross is a run that was lost to NaN or infinity.
            What does not hold here may hold at the paper's scale; the set-up says what is smaller.</p>

            """);
    }

    /// <summary>One small picture a claim, each a link to its section.</summary>
    private static void Multiples(StringBuilder html, IReadOnlyList<(IExperiment Experiment, Shown? Shown)> experiments)
    {
        html.Append("<nav aria-label=\"Contents\"><ol class=\"multiples\">\n");
        foreach (var (experiment, shown) in experiments)
        {
            string picture = shown is null ? "" : Image(shown.Small, "");
            html.Append($"<li><a href=\"#{experiment.Name}\">{picture}<span>{Title(experiment.Number, experiment.Title)}</span></a> "
                + $"{Badge(shown?.Result)}</li>\n");
        }
        html.Append("</ol></nav>\n");
    }

    private static void Runs(StringBuilder html, IReadOnlyList<ExperimentResult> results)
    {
        if (results.Count == 0) return;
        foreach (var machine in results.GroupBy(r => r.Machine))
            html.Append($"<p class=\"small\">Run {Days(machine)} on {Text(machine.Key)}; experiments {string.Join(", ", machine.Select(r => r.Number))}, "
                + $"{Minutes(machine.Sum(r => r.Seconds))} of processor time together.</p>\n");
        html.Append($"<p class=\"small\">All again: {Code(Command)}; one: the command at its end. Each run has one thread. The same seed gives the same "
            + "numbers on the same machine, "
            + "with however many processes; another processor may round otherwise, and training makes that larger. Times are the machine's.</p>\n");
    }

    private static void Section(StringBuilder html, Shown shown)
    {
        var r = shown.Result;
        html.Append($"<section id=\"{r.Name}\"><h2>{Title(r.Number, r.Title)}</h2>\n<p>{Badge(r)}</p>\n<dl>\n");
        html.Append($"<dt>Claim</dt><dd>{Text(r.Claim)}</dd>\n<dt>Source</dt>");
        foreach (var paper in r.Sources) html.Append($"<dd><a href=\"{Text(paper.Link)}\">{Text(paper.Text)}</a></dd>\n");
        html.Append($"<dt>Set-up</dt><dd>{Text(r.SetUp)}</dd>\n<dt>Decided by</dt><dd><ul class=\"checks\">\n");
        foreach (var check in r.Checks)
            html.Append($"<li class=\"{Class(check.Answer)}\">{(check == r.Checks[0] ? "<strong>Main check.</strong> " : "")}{Text(check.Statement)}: "
                + $"<strong class=\"answer\">{MarkdownTable.Word(check.Answer)}</strong>, {Text(check.Evidence)}</li>\n");
        html.Append("</ul></dd>\n");
        if (r.Note.Length > 0) html.Append($"<dt>Note</dt><dd>{Text(r.Note)}</dd>\n");
        html.Append("</dl>\n<figure>");
        for (int i = 0; i < shown.Pictures.Count; i++)
            html.Append(Image(shown.Pictures[i], $"Diagram {i + 1} of experiment {r.Number}: {r.Title}; its numbers stand in the tables"));
        html.Append("</figure>\n");
        foreach (var table in r.Tables) Table(html, table);
        html.Append($"<p class=\"small\">{r.Date:yyyy-MM-dd HH:mm} UTC, {Minutes(r.Seconds)}, seeds {string.Join(", ", r.Seeds)}. Again: "
            + $"{Code($"{Command} -- --only {r.Name}{(r.Short ? " --quick" : "")}")}</p></section>\n");
    }

    private static void Table(StringBuilder html, ResultTable table)
    {
        string title = Text(table.Title);
        html.Append($"<p class=\"caption\">{title}</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table>\n<thead><tr>");
        foreach (string column in table.Columns) html.Append($"<th scope=\"col\">{Text(column)}</th>");
        html.Append("</tr></thead>\n<tbody>\n");
        foreach (var row in table.Rows)
            html.Append($"<tr><th scope=\"row\">{Text(row.Label)}</th>{string.Concat(row.Cells.Select(cell => $"<td>{Text(cell?.Text ?? "–")}</td>"))}</tr>\n");
        html.Append("</tbody></table></div>\n");
    }

    private static string Badge(ExperimentResult? result) => $"<span class=\"badge {Class(result)}\">{Text(result?.Words ?? "not run")}</span>";

    private static string Class(ExperimentResult? result) => result?.Outcome switch
    {
        Outcome.Holds => "yes",
        Outcome.HoldsInPart => "part",
        Outcome.DoesNotHold => "no",
        _ => "none",
    };

    private static string Class(Answer answer) => answer switch { Answer.Yes => "yes", Answer.No => "no", _ => "none" };

    private static string Image(byte[] png, string alt) => $"<img alt=\"{Text(alt)}\" src=\"data:image/png;base64,{Convert.ToBase64String(png)}\">";

    private static string Title(int number, string title) => $"{number}. {Text(title)}";

    private static string Code(string text) => $"<code>{Text(text)}</code>";

    private static string Text(string text) => WebUtility.HtmlEncode(text);

    private static string Minutes(double seconds) =>
        seconds < 90 ? $"{seconds.ToString("0", CultureInfo.InvariantCulture)} s" : $"{(seconds / 60).ToString("0.0", CultureInfo.InvariantCulture)} min";

    private static string Days(IEnumerable<ExperimentResult> results)
    {
        string[] days = [.. results.Select(r => $"{r.Date:yyyy-MM-dd}").Distinct().Order()];
        return days.Length == 1 ? days[0] : $"{days[0]} to {days[^1]}";
    }

    private static string Style()
    {
        using var reader = new StreamReader(typeof(Page).Assembly.GetManifestResourceStream("page.css")!);
        return reader.ReadToEnd();
    }
}
