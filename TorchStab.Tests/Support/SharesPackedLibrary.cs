namespace TorchStab.Tests.Support;

/// <summary>Test classes of this collection share one <see cref="PackedLibrary"/>.</summary>
[CollectionDefinition(Name)]
public sealed class SharesPackedLibrary : ICollectionFixture<PackedLibrary>
{
    public const string Name = "packed library";
}
