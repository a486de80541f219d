using System.Reflection;
using TorchSharp;
using Xunit.Abstractions;
using Xunit.Sdk;

[assembly: CollectionBehavior("TorchStab.Tests.Support.Collections", "TorchStab.Tests")]

namespace TorchStab.Tests.Support;

/// <summary>
/// Three collections, each run in order, beside each other. Tests that use libtorch in this process share one: they set its threads, its generator and its
/// default dtype, and count its tensors. Classes of the other two only start programs and wait for them: <see cref="OtherProcesses"/> those that are built
/// with the tests, <see cref="Builds"/> those that a user would build.
/// </summary>
public sealed class Collections : IXunitTestCollectionFactory
{
    private readonly TestCollection _here;
    private readonly TestCollection[] _elsewhere;

    public Collections(ITestAssembly assembly, IMessageSink diagnostics)
    {
        _ = diagnostics; // xUnit calls a constructor of this signature
        _here = new(assembly, Reflector.Wrap(typeof(ThisProcess)), ThisProcess.Name);
        _elsewhere = [new(assembly, Reflector.Wrap(typeof(OtherProcesses)), OtherProcesses.Name), new(assembly, Reflector.Wrap(typeof(Builds)), Builds.Name)];
    }

    public string DisplayName => "by process";

    public ITestCollection Get(ITypeInfo testClass) => testClass.GetCustomAttributes(typeof(CollectionAttribute)).SingleOrDefault() is { } named
        ? _elsewhere.Single(c => c.DisplayName.Equals(named.GetConstructorArguments().Single())) : _here;
}

/// <summary>All classes without an attribute.</summary>
[CollectionDefinition(Name), Seeded]
public sealed class ThisProcess
{
    public const string Name = "in this process";
}

/// <summary>Classes whose tests only start processes.</summary>
[CollectionDefinition(Name)]
public sealed class OtherProcesses
{
    public const string Name = "in other processes";
}

/// <summary>Classes whose tests build projects and run what comes out. They share one <see cref="PackedLibrary"/>.</summary>
[CollectionDefinition(Name)]
public sealed class Builds : ICollectionFixture<PackedLibrary>
{
    public const string Name = "in builds";
}

/// <summary>Every test draws the same numbers in every run, whatever ran before it; see <see cref="SeededPropertyAttribute"/>.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class SeededAttribute : BeforeAfterTestAttribute
{
    public override void Before(MethodInfo methodUnderTest) => torch.manual_seed(SeededPropertyAttribute.IsRandom ? Random.Shared.NextInt64() : 17);
}
