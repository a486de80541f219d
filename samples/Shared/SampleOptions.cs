using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace TorchStab.Samples;

/// <summary>Command-line options that refuse what makes no sense, in one line that says what would.</summary>
public static class SampleOptions
{
    public static Option<bool> Quick(string description) => new("--quick") { Description = description };

    public static Option<int> Seed() => Whole("--seed", 1, 0, "Same seed, same numbers");

    public static Option<DirectoryInfo> Out(string otherwise = "out") => new("--out")
    {
        Description = "Folder for what the run leaves, made if missing",
        HelpName = "DIR",
        DefaultValueFactory = _ => new DirectoryInfo(otherwise),
    };

    public static Option<int> Whole(string name, int otherwise, int least, string description) => new(name)
    {
        Description = description,
        HelpName = "N",
        DefaultValueFactory = _ => otherwise,
        CustomParser = result => int.TryParse(Text(result), CultureInfo.InvariantCulture, out int value) && value >= least
            ? value : Refuse<int>(result, name, $"a whole number of at least {least}"),
    };

    public static Option<double> Positive(string name, double otherwise, string description) => new(name)
    {
        Description = description,
        HelpName = "X",
        DefaultValueFactory = _ => otherwise,
        CustomParser = result => double.TryParse(Text(result), CultureInfo.InvariantCulture, out double value) && value > 0 && double.IsFinite(value)
            ? value : Refuse<double>(result, name, "a finite number above 0"),
    };

    /// <summary>One name of an enum; the help shows names and default in lower case, as they are typed.</summary>
    public static Option<Choice<T>> OneOf<T>(string name, T otherwise, string description) where T : struct, Enum
    {
        string names = string.Join('|', Enum.GetNames<T>()).ToLowerInvariant();
        return new Option<Choice<T>>(name)
        {
            Description = description,
            HelpName = names,
            DefaultValueFactory = _ => new(otherwise),
            CustomParser = result => Enum.GetNames<T>().Contains(Text(result), StringComparer.OrdinalIgnoreCase)
                ? new(Enum.Parse<T>(Text(result), ignoreCase: true)) : Refuse<Choice<T>>(result, name, "one of " + names.Replace("|", ", ")),
        };
    }

    /// <summary>What was typed counts, then the value that --quick stands for, then the default.</summary>
    public static int OrQuick(this ParseResult parsed, Option<int> option, Option<bool> quick, int quickValue) =>
        parsed.GetValue(quick) && !parsed.IsGiven(option) ? quickValue : parsed.GetValue(option);

    /// <summary>Whether the option was typed.</summary>
    public static bool IsGiven(this ParseResult parsed, Option option) => parsed.GetResult(option) is { Implicit: false };

    private static string Text(ArgumentResult result) => result.Tokens.Single().Value;

    private static T Refuse<T>(ArgumentResult result, string name, string expected) where T : struct
    {
        result.AddError($"{name} is {expected}, not '{Text(result)}'.");
        return default;
    }
}
