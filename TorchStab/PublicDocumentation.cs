// Compiled by MSBuild while the library is built (RoslynCodeTaskFactory), hence plain C# 7.3.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Xml.Linq;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

namespace TorchStab.Build
{
    /// <summary>
    /// Removes from the documentation file what users cannot see. The compiler writes the comments of internal members too; in an editor
    /// they would be two thirds of what is read in for a project that uses the package.
    /// </summary>
    public class KeepPublicDocumentation : Task
    {
        private const BindingFlags Declared =
            BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

        [Required] public string Documentation { get; set; }
        [Required] public string Assembly { get; set; }
        [Required] public string[] References { get; set; }

        public override bool Execute()
        {
            var docs = XDocument.Load(Documentation, LoadOptions.PreserveWhitespace);
            using (var context = new MetadataLoadContext(new PathAssemblyResolver(References.Append(Assembly))))
            {
                var types = context.LoadFromAssemblyPath(Assembly).GetExportedTypes();
                var seen = new HashSet<string>(types.Select(t => "T:" + Plain(t))
                    .Concat(types.SelectMany(t => t.GetMembers(Declared).Where(IsSeen).Select(Id))));
                docs.Descendants("member").Where(m => !seen.Contains(m.Attribute("name").Value)).ToList().ForEach(Remove);
            }
            NameRecordsOnce(docs.Descendants("member").ToDictionary(m => m.Attribute("name").Value));
            docs.Save(Documentation, SaveOptions.DisableFormatting);
            return true;
        }

        // The compiler gives a record's text to its constructor too.
        private static void NameRecordsOnce(Dictionary<string, XElement> members)
        {
            foreach (var pair in members.Where(m => m.Key.Contains(".#ctor(")))
            {
                string type = "T" + pair.Key.Substring(1, pair.Key.IndexOf(".#ctor", StringComparison.Ordinal) - 1);
                XElement record;
                if (members.TryGetValue(type, out record) && XNode.DeepEquals(record.Element("summary"), pair.Value.Element("summary")))
                    pair.Value.Element("summary").ReplaceWith(new XElement("inheritdoc", new XAttribute("cref", type), new XAttribute("path", "/summary")));
            }
        }

        private static void Remove(XElement member)
        {
            // The line break before the member goes with it.
            if (member.PreviousNode is XText space) space.Remove();
            member.Remove();
        }

        // Protected members are part of what a class derived elsewhere sees.
        private static bool IsSeen(MemberInfo member)
        {
            if (member is PropertyInfo property) return property.GetAccessors(true).Any(IsSeen);
            if (member is EventInfo e) return IsSeen(e.AddMethod);
            if (member is FieldInfo field) return field.IsPublic || field.IsFamily || field.IsFamilyOrAssembly;
            return member is MethodBase method && (method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly);
        }

        // As the compiler names members: ECMA-334, annex D.4.2.
        private static string Id(MemberInfo member)
        {
            string owner = Plain(member.DeclaringType) + "." + member.Name.Replace('.', '#');
            if (member is FieldInfo) return "F:" + owner;
            if (member is EventInfo) return "E:" + owner;
            if (member is PropertyInfo property) return "P:" + owner + Parameters(property.GetIndexParameters());
            var method = (MethodBase)member;
            string arity = method.IsGenericMethod ? "``" + method.GetGenericArguments().Length : "";
            string result = method.Name == "op_Implicit" || method.Name == "op_Explicit" ? "~" + Reference(((MethodInfo)method).ReturnType) : "";
            return "M:" + owner + arity + Parameters(method.GetParameters()) + result;
        }

        private static string Parameters(ParameterInfo[] all)
        {
            return all.Length == 0 ? "" : "(" + string.Join(",", all.Select(p => Reference(p.ParameterType))) + ")";
        }

        private static string Plain(Type t)
        {
            return (t.IsGenericType ? t.GetGenericTypeDefinition() : t).FullName.Replace('+', '.');
        }

        private static string Reference(Type t)
        {
            if (t.IsByRef) return Reference(t.GetElementType()) + "@";
            if (t.IsPointer) return Reference(t.GetElementType()) + "*";
            if (t.IsArray) return Reference(t.GetElementType())
                + (t.GetArrayRank() == 1 ? "[]" : "[" + string.Join(",", Enumerable.Repeat("0:", t.GetArrayRank())) + "]");
            if (t.IsGenericParameter) return (t.DeclaringMethod == null ? "`" : "``") + t.GenericParameterPosition;
            if (!t.IsGenericType) return Plain(t);
            // Of a generic type inside another, each name carries its own arguments.
            string name = "";
            int taken = 0;
            foreach (string part in Plain(t).Split('.'))
            {
                int tick = part.IndexOf('`');
                name += (name == "" ? "" : ".") + (tick < 0 ? part : part.Substring(0, tick));
                if (tick < 0) continue;
                int count = int.Parse(part.Substring(tick + 1));
                name += "{" + string.Join(",", t.GetGenericArguments().Skip(taken).Take(count).Select(Reference)) + "}";
                taken += count;
            }
            return name;
        }
    }
}
