using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests;

/// <summary>
/// What an editor shows of the public surface. Every member says what it is; every function what it takes, with its defaults as they are,
/// and what it gives; what computes also its equation, shapes, dtypes, errors and where it comes from.
/// </summary>
public partial class DocumentationTests
{
    // What computes nothing of its own but moves modules about.
    private static readonly string[] WithoutEquation =
        ["initialize_", "ClippedOptimizer", "DistributedDataParallel", "swap_norms_", "restore_norms_", "freeze_norms_", "unfreeze_norms_",
            "convert_sync_batchnorm_",
            "fuse_norms"];

    private static readonly ParameterInfo[] Parameters = [.. XmlDocs.Public.OfType<MethodBase>().SelectMany(m => m.GetParameters())];

    private static readonly MethodInfo[] Functions = [.. XmlDocs.Public.OfType<MethodInfo>().Where(m => IsOfTheFacade(m.DeclaringType!))];

    private static readonly MethodInfo[] Maths = [.. Functions.Where(m => Area(m) is "nn" or "functional" or "init" or "utils" or "optim"),
        .. typeof(GradientClip).GetMethods(BindingFlags.Public | BindingFlags.Static)];

    [Fact]
    public void Every_member_says_what_it_is() =>
        None(XmlDocs.Public.Where(m => Empty(XmlDocs.Of(m).Text("summary"))).Select(XmlDocs.Name));

    [Fact]
    public void Every_parameter_is_described() =>
        None(Parameters.Where(p => Empty(Text(p))).Select(Where));

    [Fact]
    public void Every_function_says_what_it_gives() =>
        None(XmlDocs.Public.OfType<MethodInfo>().Where(m => m.ReturnType != typeof(void) && m.Name != "ToString")
            .Where(m => Empty(XmlDocs.Of(m).Text("returns"))).Select(XmlDocs.Name));

    [Fact]
    public void Every_default_is_named_as_it_is() =>
        None(Parameters.Where(p => p.HasDefaultValue && !Names(Text(p), p.ParameterType, p.DefaultValue))
            .Select(p => $"{Where(p)} = {p.DefaultValue ?? "null"}: {Text(p)}"));

    [Fact]
    public void Every_option_names_the_value_it_starts_with()
    {
        object[] records = [new InitializationOptions(), new MonitorOptions(), new SwapOptions(), new VerdictThresholds()];
        None(records.SelectMany(r => r.GetType().GetProperties().Select(p => (Option: p, Text: XmlDocs.Of(p).Text("summary"), Value: p.GetValue(r))))
            .Where(p => !Names(p.Text, p.Option.PropertyType, p.Value)).Select(p => $"{XmlDocs.Name(p.Option)} = {p.Value ?? "null"}: {p.Text}"));
    }

    [Fact]
    public void Every_function_of_the_facade_says_what_it_refuses() =>
        None(Functions.Where(m => Empty(XmlDocs.Of(m).Text("exception"))).Select(XmlDocs.Name));

    [Fact]
    public void Every_operation_gives_its_equation() =>
        None(Maths.Where(m => !WithoutEquation.Contains(m.Name) && !Equation().IsMatch(All(m))).Select(XmlDocs.Name));

    [Fact]
    public void Every_operation_says_where_it_comes_from() =>
        None(Maths.Where(m => !WithoutEquation.Contains(m.Name) && !Source().IsMatch(All(m))).Select(XmlDocs.Name));

    [Fact]
    public void Every_operation_on_tensors_says_shapes_and_dtypes()
    {
        var tensors = Maths.Where(m => !WithoutEquation.Contains(m.Name) && (m.DeclaringType == typeof(stab.nn) || m.GetParameters().Any(IsTensor))).ToList();
        None(tensors.Where(m => !Dtypes().IsMatch(All(m, "summary", "remarks") + string.Join(' ', m.GetParameters().Where(IsTensor).Select(Text))))
            .Select(m => $"{XmlDocs.Name(m)}: no dtypes"));
        None(tensors.Where(m => !Shapes().IsMatch(All(m))).Select(m => $"{XmlDocs.Name(m)}: no shapes"));
        None(tensors.SelectMany(m => m.GetParameters()).Where(p => IsTensor(p) && !Shapes().IsMatch(Text(p))).Select(p => $"{Where(p)}: no shape"));
    }

    /// <summary>A default of null says null; a number, a word or a name stands there as it is written.</summary>
    private static bool Names(string text, Type type, object? value) => value switch
    {
        null => text.Contains("null", StringComparison.Ordinal),
        bool b => Default().IsMatch(text) && text.Contains(b ? "true" : "false", StringComparison.Ordinal),
        Enum e => Default().IsMatch(text) && text.Contains($"{e}", StringComparison.Ordinal),
        double or long or int when (Nullable.GetUnderlyingType(type) ?? type) is { IsEnum: true } named => Names(text, named, Enum.ToObject(named, value)),
        double or long or int => Default().IsMatch(text) && Numbers(text).Contains(Convert.ToDouble(value, CultureInfo.InvariantCulture)),
        _ => true,
    };

    private static IEnumerable<double> Numbers(string text) =>
        Number().Matches(text.Replace('−', '-'))
            .Select(m => double.Parse(m.Value, NumberStyles.Float | NumberStyles.AllowThousands, CultureInfo.InvariantCulture));

    private static string All(MemberInfo member) => All(member, "summary", "param", "returns", "remarks");

    private static string All(MemberInfo member, params string[] elements)
    {
        var docs = XmlDocs.Of(member);
        return string.Join(' ', elements.Select(element => docs.Text(element)));
    }

    private static string Text(ParameterInfo p) => XmlDocs.Of(p.Member).Text("param", p.Name);

    private static bool Empty(string text) => string.IsNullOrWhiteSpace(text);

    private static bool IsTensor(ParameterInfo p) => p.ParameterType == typeof(Tensor);

    private static bool IsOfTheFacade(Type type) => type == typeof(stab) || type.DeclaringType is { } outer && IsOfTheFacade(outer);

    private static string Area(MethodInfo m) => m.DeclaringType!.Name;

    private static string Where(ParameterInfo p) => $"{XmlDocs.Name(p.Member)}: {p.Name}";

    private static void None(IEnumerable<string> violations) => SourceFile.AssertNone(violations);

    [GeneratedRegex("[=←]")]
    private static partial Regex Equation();

    [GeneratedRegex(@"\b(19|20)\d\d\b|\btorch\.(nn|optim)\b|PyTorch|Keras|JAX")]
    private static partial Regex Source();

    [GeneratedRegex("float(16|32|64)|floating|dtype")]
    private static partial Regex Dtypes();

    [GeneratedRegex(@"\([^)]*([NCLT*…]|out, in|in, out|_size|_shape)[^)]*\)|[Ss]hape|dimension|[Ss]calar|[Ss]ize")]
    private static partial Regex Shapes();

    [GeneratedRegex("[Dd]efault")]
    private static partial Regex Default();

    [GeneratedRegex(@"[-−]?\d[\d,]*(\.\d+)?([eE][-−]?\d+)?")]
    private static partial Regex Number();
}
