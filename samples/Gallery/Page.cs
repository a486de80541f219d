using System.Globalization;
using System.Net;
using System.Text;

namespace Gallery;

/// <summary>The page: one HTML file with everything in it, for a phone, a screen and paper.</summary>
internal static class Page
{
    private const string Command = "dotnet run --project samples/Gallery";

    /// <param name="experiments">All there are: one without a result is listed as not run.</param>
    /// <param name="load">An experiment's result and PNG; null: none.</param>
    public static string Write(IReadOnlyList<IExperiment> experiments, Func<IExperiment, (ExperimentResult Result, byte[] Picture)?> load)
    {
        var found = experiments.Select(e => (Experiment: e, Found: load(e))).ToArray();
        var html = new StringBuilder();
        Head(html, experiments.Count);
        Contents(html, found.Select(f => (f.Experiment, f.Found?.Result)));
        Runs(html, [.. found.Where(f => f.Found is not null).Select(f => f.Found!.Value.Result)]);
        foreach (var (experiment, result) in found)
        {
            if (result is { } done) Section(html, done.Result, done.Picture);
            else html.Append($"<section id=\"{experiment.Name}\"><h2>{Title(experiment.Number, experiment.Title)}</h2>\n<p>{Badge(null)} Not in this folder yet: {Code($"{Command} -- --only {experiment.Name}")}</p></section>\n");
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
            Each verdict is computed from the numbers below it, mean ± standard deviation over the seeds;
            shades in the diagrams span the seeds. A claim that does not hold here
            may hold at the paper's scale; the set-up says what is smaller.</p>

            """);
    }

    private static void Contents(StringBuilder html, IEnumerable<(IExperiment Experiment, ExperimentResult? Result)> entries)
    {
        html.Append("<nav aria-label=\"Contents\"><ol class=\"contents\">\n");
        foreach (var (experiment, result) in entries)
            html.Append($"<li value=\"{experiment.Number}\"><a href=\"#{experiment.Name}\">{Text(experiment.Title)}</a> {Badge(result)}</li>\n");
        html.Append("</ol></nav>\n");
    }

    private static void Runs(StringBuilder html, IReadOnlyList<ExperimentResult> results)
    {
        if (results.Count == 0) return;
        foreach (var machine in results.GroupBy(r => r.Machine))
            html.Append($"<p class=\"small\">Run {Days(machine)} on {Text(machine.Key)}; experiments {string.Join(", ", machine.Select(r => r.Number))}, "
                + $"{Minutes(machine.Sum(r => r.Seconds))} together.</p>\n");
        html.Append($"<p class=\"small\">All again: {Code(Command)}; one: the command at its end. All run on one thread. The same seed gives the same numbers on the same kind of processor; times are the machine's.</p>\n");
    }

    private static void Section(StringBuilder html, ExperimentResult r, byte[] picture)
    {
        html.Append($"<section id=\"{r.Name}\"><h2>{Title(r.Number, r.Title)}</h2>\n<p>{Badge(r)}</p>\n<dl>\n");
        foreach (var (term, text) in new[] { ("Claim", r.Claim), ("Source", r.Source), ("Set-up", r.SetUp) })
            html.Append($"<dt>{term}</dt><dd>{Text(text)}</dd>\n");
        html.Append("<dt>Decided by</dt><dd><ul class=\"checks\">\n");
        foreach (var check in r.Checks)
            html.Append($"<li class=\"{(check.Holds ? "yes" : "no")}\">{Text(check.Statement)}: <strong>{(check.Holds ? "yes" : "no")}</strong>, {Text(check.Evidence)}</li>\n");
        html.Append("</ul></dd>\n");
        if (r.Note.Length > 0) html.Append($"<dt>Note</dt><dd>{Text(r.Note)}</dd>\n");
        html.Append($"</dl>\n<figure><img alt=\"{Text($"Diagrams of experiment {r.Number}: {r.Title}; their numbers stand in the tables")}\" src=\"data:image/png;base64,{Convert.ToBase64String(picture)}\"></figure>\n");
        foreach (var table in r.Tables) Table(html, table);
        html.Append($"<p class=\"small\">{r.Date:yyyy-MM-dd HH:mm} UTC, {Minutes(r.Seconds)}, seeds {string.Join(", ", r.Seeds)}. Again: {Code($"{Command} -- --only {r.Name}{(r.Short ? " --quick" : "")}")}</p></section>\n");
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

    private static string Badge(ExperimentResult? result) =>
        $"<span class=\"badge {(result is null ? "none" : result.Holds ? "yes" : "no")}\">{Text(result?.Verdict ?? "not run")}</span>";

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
