using System.Reflection;
using TorchStab.Tests.Attacks;

// Attacks.dll Class.Method runs that attack; the exit code is 0 where it held.
int dot = args[0].LastIndexOf('.');
var attack = typeof(AttackAttribute).Assembly.GetType($"TorchStab.Tests.Attacks.{args[0][..dot]}")!.GetMethod(args[0][(dot + 1)..],
    BindingFlags.Public | BindingFlags.Static)!;
attack.CreateDelegate<Action>()();
Console.WriteLine("held");
