using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Support;

/// <summary>A table of embeddings that the output layer uses too, as language models have it.</summary>
internal sealed class Tied : nn.Module<Tensor, Tensor>
{
    public Tied(int tokens = 5, int size = 3) : base(nameof(Tied))
    {
        (Table, Head) = (nn.Embedding(tokens, size), nn.Linear(size, tokens, hasBias: false));
        register_module("table", Table);
        register_module("head", Head);
        Head.weight = Table.weight!;
    }

    public Embedding Table { get; }

    public Linear Head { get; }

    public override Tensor forward(Tensor input)
    {
        using var looked = Table.call(input);
        return Head.call(looked);
    }
}
