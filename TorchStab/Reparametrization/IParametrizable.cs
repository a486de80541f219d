namespace TorchStab.Modules;

/// <summary>A module that computes weights from other parameters.</summary>
internal interface IParametrized
{
    /// <summary>The parametrizations of the computed weights, by the weights' names.</summary>
    IEnumerable<(string Name, Parametrization Parametrization)> Parametrizations { get; }
}

/// <summary>A module of this library that can compute its own weights from other parameters, so that no other module has to replace it.</summary>
internal interface IParametrizable : IParametrized
{
    /// <summary>The names of the weights that can be parametrized.</summary>
    IReadOnlyList<string> Weights { get; }

    /// <summary>Replaces a weight by a computed one.</summary>
    void Parametrize(string name, Parametrization parametrization);

    /// <summary>Replaces a computed weight by a parameter with its present values.</summary>
    void Unparametrize(string name);
}

/// <summary>The child module <c>parametrizations</c>, which has one child for each computed weight.</summary>
internal sealed class ParametrizationTable() : TorchSharp.torch.nn.Module(nameof(ParametrizationTable))
{
    /// <summary>The name of the child module, as in PyTorch's keys.</summary>
    public const string Key = "parametrizations";

    public IEnumerable<(string Name, Parametrization Parametrization)> Entries => named_children().Select(c => (c.name, (Parametrization)c.module));

    public Parametrization? Of(string name) => Entries.FirstOrDefault(e => e.Name == name).Parametrization;

    protected override void RegisterComponents() { }
}
