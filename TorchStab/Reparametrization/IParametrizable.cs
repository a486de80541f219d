namespace TorchStab.Modules;

/// <summary>A module that computes weights from other parameters.</summary>
internal interface IParametrized
{
    /// <summary>The weights that are computed, by name, and how.</summary>
    IEnumerable<(string Name, Parametrization Parametrization)> Parametrizations { get; }
}

/// <summary>A module of this library that can do so for weights of its own, without another module in its place.</summary>
internal interface IParametrizable : IParametrized
{
    /// <summary>Names of the weights that could be.</summary>
    IReadOnlyList<string> Weights { get; }

    /// <summary>Lets the weight be computed from now on.</summary>
    void Parametrize(string name, Parametrization parametrization);

    /// <summary>Gives the module its own weight back, with the values that it has now.</summary>
    void Unparametrize(string name);
}

/// <summary>The child <c>parametrizations</c>: one child more for each weight.</summary>
internal sealed class ParametrizationTable() : TorchSharp.torch.nn.Module(nameof(ParametrizationTable))
{
    /// <summary>The name of the child, in PyTorch's keys.</summary>
    public const string Key = "parametrizations";

    public IEnumerable<(string Name, Parametrization Parametrization)> Entries => named_children().Select(c => (c.name, (Parametrization)c.module));

    public Parametrization? Of(string name) => Entries.FirstOrDefault(e => e.Name == name).Parametrization;

    protected override void RegisterComponents() { }
}
