using System.Collections.Concurrent;
using System.Reflection;
using TorchStab.Tests.Attacks;
using TorchStab.Tests.Support;

namespace TorchStab.Tests;

/// <summary>
/// Nothing ends the process: every method of TorchStab.Tests.Attacks that is marked with <see cref="AttackAttribute"/>, each in a process of its
/// own. Most of a run is the start of the process, so two run at a time.
/// </summary>
[Collection(OtherProcesses.Name)]
public class AttackTests
{
    private static readonly string Attacks = Path.Combine(AppContext.BaseDirectory, "TorchStab.Tests.Attacks.dll");
    private static readonly MethodInfo[] All =
        [.. typeof(AttackAttribute).Assembly.GetTypes().SelectMany(type => type.GetMethods()).Where(method => method.IsDefined(typeof(AttackAttribute)))];

    [Fact]
    public void Every_attack_is_held()
    {
        var broken = new ConcurrentQueue<string>();
        Parallel.ForEach(All, new ParallelOptions { MaxDegreeOfParallelism = 2 }, attack =>
        {
            var (exitCode, output) = Run(attack);
            if (exitCode != 0) broken.Enqueue($"{Name(attack)} ended with {exitCode}:\n{output}");
        });
        Assert.NotEmpty(All);
        Assert.True(broken.IsEmpty, string.Join('\n', broken));
    }

    private static string Name(MethodInfo attack) => $"{attack.DeclaringType!.Name}.{attack.Name}";

    private static (int ExitCode, string Output) Run(MethodInfo attack)
    {
        var environment = attack.GetCustomAttribute<AttackAttribute>()!.Environment.Select(pair => pair.Split('=', 2))
            .Select(pair => (pair[0], (string?)pair[1]));
        return DotNet.Run(AppContext.BaseDirectory, [("DOTNET_DbgEnableMiniDump", "0"), .. environment], [Attacks, Name(attack)]);
    }
}
