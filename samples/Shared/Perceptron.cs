using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using Linear = TorchSharp.Modules.Linear;

namespace TorchStab.Samples;

/// <summary>Sizes of a <see cref="Perceptron"/>: hidden layers of one width.</summary>
public sealed record PerceptronShape(int Depth, int Width, int Inputs = Mnist.Pixels, int Outputs = Mnist.Classes);

/// <summary>What a forward pass through a <see cref="Perceptron"/> made: for each hidden layer what goes into its activation and what comes out.</summary>
public sealed record PerceptronTrace(IReadOnlyList<Tensor> PreActivations, IReadOnlyList<Tensor> Activations, Tensor Output);

/// <summary>A multilayer perceptron: a stack of hidden layers (linear, normalization, activation) of one width, and a linear layer to the classes.</summary>
public class Perceptron : Module<Tensor, Tensor>
{
    private readonly List<(Linear Linear, Module<Tensor, Tensor>? Norm, Module<Tensor, Tensor> Activation)> _hidden = [];
    private readonly TorchSharp.Modules.Sequential _layers;

    /// <param name="shape">Depth and widths.</param>
    /// <param name="activation">Makes the activation of each hidden layer.</param>
    /// <param name="norm">Makes the normalization before each activation; null, or a null from it: none.</param>
    /// <param name="initialize">Fills the parameters of each linear layer; null: TorchSharp's default stays.</param>
    public Perceptron(PerceptronShape shape, Func<Module<Tensor, Tensor>> activation, Func<Module<Tensor, Tensor>?>? norm = null,
        Action<Linear>? initialize = null)
        : base(nameof(Perceptron))
    {
        var modules = new List<(string, Module<Tensor, Tensor>)>();
        for (int i = 1; i <= shape.Depth; i++)
        {
            // A bias of the linear layer would be redundant before a norm, but the plain network has it: both stay comparable.
            var layer = (Linear: Linear(i == 1 ? shape.Inputs : shape.Width, shape.Width), Norm: norm?.Invoke(), Activation: activation());
            _hidden.Add(layer);
            modules.Add(($"linear{i}", layer.Linear));
            if (layer.Norm is not null) modules.Add(($"norm{i}", layer.Norm));
            modules.Add(($"activation{i}", layer.Activation));
        }
        Linears = [.. _hidden.Select(layer => layer.Linear), Linear(shape.Width, shape.Outputs)];
        modules.Add(("output", Linears[^1]));
        _layers = Sequential(modules);
        if (initialize is not null)
            foreach (var linear in Linears) initialize(linear);
        register_module("layers", _layers);
    }

    /// <summary>The layers with weights, first to last.</summary>
    public IReadOnlyList<Linear> Linears { get; }

    public override Tensor forward(Tensor input) => _layers.call(input);

    /// <summary>The same forward pass with what is inside, all in the caller's DisposeScope.</summary>
    public PerceptronTrace Trace(Tensor input)
    {
        var pre = new List<Tensor>();
        var post = new List<Tensor>();
        foreach (var (linear, norm, activation) in _hidden)
        {
            input = linear.call(input);
            if (norm is not null) input = norm.call(input);
            pre.Add(input);
            post.Add(input = activation.call(input));
        }
        return new PerceptronTrace(pre, post, Linears[^1].call(input));
    }
}
