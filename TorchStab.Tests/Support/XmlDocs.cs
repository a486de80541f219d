using System.Reflection;
using System.Runtime.CompilerServices;
using System.Xml.Linq;
using System.Xml.XPath;

namespace TorchStab.Tests.Support;

/// <summary>The library's XML documentation as an editor shows it: every inheritdoc followed, members found by reflection.</summary>
internal static class XmlDocs
{
    private const BindingFlags Declared =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    private static readonly Dictionary<string, XElement> Raw = XDocument.Load(Path.Combine(AppContext.BaseDirectory, "TorchStab.xml"))
        .Descendants("member").ToDictionary(m => m.Attribute("name")!.Value);

    /// <summary>Every type and member that users see, without what the compiler wrote.</summary>
    public static IReadOnlyList<MemberInfo> Public { get; } =
        [.. typeof(stab).Assembly.GetExportedTypes().SelectMany(t => t.GetMembers(Declared).Where(m => m is not Type).Prepend(t)).Where(IsSeen)];

    /// <summary>The entries of the compiler's file that are about them.</summary>
    public static IEnumerable<string> PublicIds => ById.Keys.Where(Raw.ContainsKey);

    private static readonly HashSet<string> Internal = [.. typeof(stab).Assembly.GetExportedTypes()
        .SelectMany(t => t.GetMembers(Declared).Where(m => m is MethodBase { IsAssembly: true } or MethodBase { IsPrivate: true }
            or FieldInfo { IsAssembly: true } or FieldInfo { IsPrivate: true })).Select(Id)];

    /// <summary>Whether an entry is about a method or field that users cannot reach.</summary>
    public static bool IsInternal(string id) => Internal.Contains(id);

    private static readonly Dictionary<string, MemberInfo> ById = Public.ToDictionary(Id);

    /// <summary>The documentation of a member; elements that it lacks and inherits are taken over.</summary>
    public static XElement Of(MemberInfo member) => Resolve(Id(member), 0);

    /// <summary>The words of an element, or of them all.</summary>
    public static string Text(this XElement docs, string element, string? name = null) => string.Join(' ', docs.Elements(element)
        .Where(e => name is null || e.Attribute("name")?.Value == name).Select(Words));

    public static string Name(MemberInfo member) => Id(member)[2..].Replace("TorchStab.", "", StringComparison.Ordinal);

    // What stands in attributes (cref, name, langword) is shown as text.
    private static string Words(XElement e) =>
        string.Concat(e.Nodes().Select(n => n is XElement x ? string.Concat(x.Attributes().Select(a => $" {a.Value} ")) + Words(x) : $"{n}"));

    private static XElement Resolve(string id, int depth)
    {
        if (depth > 8) throw new InvalidOperationException($"inheritdoc runs in a circle at {id}");
        var docs = new XElement(Raw.GetValueOrDefault(id) ?? new XElement("member"));
        foreach (var inherit in docs.Descendants("inheritdoc").ToList())
        {
            object[] nodes = [.. (IEnumerable<object>)Inherited(id, inherit, depth).XPathEvaluate("." + (inherit.Attribute("path")?.Value ?? "/node()"))];
            if (inherit.Parent != docs)
            {
                inherit.ReplaceWith(nodes);
                continue;
            }
            inherit.Remove();
            docs.Add(nodes.OfType<XElement>().Where(e => !docs.Elements(e.Name).Any(own => Key(own) == Key(e))));
        }
        return docs;
    }

    private static string? Key(XElement e) => (e.Attribute("name") ?? e.Attribute("cref"))?.Value;

    private static XElement Inherited(string id, XElement inherit, int depth)
    {
        string? source = inherit.Attribute("cref")?.Value ?? (ById.TryGetValue(id, out var member) && Overridden(member) is { } above ? Id(above) : null);
        return source is null ? new XElement("member") : Resolve(source, depth + 1);
    }

    private static MemberInfo? Overridden(MemberInfo member) => member switch
    {
        Type t => t.BaseType,
        MethodInfo m when m.GetBaseDefinition() != m => Above(m.DeclaringType!.BaseType!, m) ?? m.GetBaseDefinition(),
        MethodInfo m => Interface(m),
        PropertyInfo p when p.GetMethod is { } get && (Overridden(get) ?? Interface(get)) is MethodInfo above => above.DeclaringType!.GetProperty(p.Name),
        _ => null,
    };

    // The nearest class above that has docs of its own.
    private static MethodInfo? Above(Type type, MethodInfo m) => type.GetMethods(Declared)
        .FirstOrDefault(other => other.GetBaseDefinition() == m.GetBaseDefinition() && Raw.ContainsKey(Id(other)))
            ?? (type.BaseType is { } next ? Above(next, m) : null);

    private static MethodInfo? Interface(MethodInfo m) => m.DeclaringType!.IsInterface ? null : m.DeclaringType.GetInterfaces()
        .Select(m.DeclaringType.GetInterfaceMap).SelectMany(map => map.TargetMethods.Zip(map.InterfaceMethods)).FirstOrDefault(pair => pair.First == m).Second;

    private static bool IsSeen(MemberInfo member) => member.GetCustomAttribute<CompilerGeneratedAttribute>() is null
        && !member.Name.Contains('<') && member switch
        {
            Type t => t.IsVisible,
            MethodBase m => m.IsPublic && (!m.IsSpecialName || m.IsConstructor) && Raw.ContainsKey(Id(m)) | !IsOfARecord(m),
            PropertyInfo p => p.GetMethod is { IsPublic: true } && p.Name != "EqualityContract",
            FieldInfo f => f.IsPublic && !f.IsSpecialName,
            _ => false,
        };

    // A record's own constructor is documented by the record, an implicit one by nobody.
    private static bool IsOfARecord(MethodBase m) => m.IsConstructor && (m.GetParameters().Length == 0 || m.DeclaringType!.GetMethod("<Clone>$") is not null);

    private static string Id(MemberInfo member) => member switch
    {
        Type t => "T:" + Plain(t),
        MethodBase m => $"M:{Plain(m.DeclaringType!)}.{m.Name.Replace('.', '#')}"
            + $"{(m.IsGenericMethod ? $"``{m.GetGenericArguments().Length}" : "")}{Parameters(m.GetParameters())}",
        PropertyInfo p => $"P:{Plain(p.DeclaringType!)}.{p.Name}{Parameters(p.GetIndexParameters())}",
        _ => $"F:{Plain(member.DeclaringType!)}.{member.Name}",
    };

    private static string Parameters(ParameterInfo[] all) => all.Length == 0 ? "" : $"({string.Join(',', all.Select(p => Reference(p.ParameterType)))})";

    private static string Plain(Type t) => (t.IsGenericType ? t.GetGenericTypeDefinition() : t).FullName!.Replace('+', '.');

    private static string Reference(Type t)
    {
        if (t.IsByRef) return Reference(t.GetElementType()!) + "@";
        if (t.IsPointer) return Reference(t.GetElementType()!) + "*";
        if (t.IsArray) return Reference(t.GetElementType()!) + "[]";
        if (t.IsGenericParameter) return (t.DeclaringMethod is null ? "`" : "``") + t.GenericParameterPosition;
        if (!t.IsGenericType) return Plain(t);
        string name = Plain(t);
        return $"{name[..name.LastIndexOf('`')]}{{{string.Join(',', t.GetGenericArguments().Select(Reference))}}}";
    }
}
