using TorchSharp.Modules;
using TorchStab.Tests.Surgery.Models;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab.Tests.Initialization;

/// <summary>Embeddings that make the output too.</summary>
public class OutputTablesTests
{
    private const long Vocabulary = 1000, Width = 64, Context = 16;

    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, false)]
    public void The_loss_of_a_language_model_starts_at_the_logarithm_of_its_vocabulary(bool layer, bool outputFirst)
    {
        using var scope = NewDisposeScope();
        manual_seed(2);
        using Module<Tensor, Tensor> model = layer ? new Tied(outputFirst) : new Gpt(Vocabulary, Context, Width, 4, 4);
        var report = stab.nn.init.initialize_(model);
        using var _ = no_grad();
        var (tokens, targets) = (randint(0, Vocabulary, [8, Context]), randint(0, Vocabulary, [8 * Context]));
        double loss = functional.cross_entropy(model.call(tokens).view(-1, Vocabulary), targets).item<float>();
        Assert.InRange(loss - Math.Log(Vocabulary), -0.1, 0.3);
        Assert.Contains(report.Notes, n => n.Contains("so that logits start small", StringComparison.Ordinal));
        var tables = report.Entries.Where(e => e.Scheme.StartsWith("normal", StringComparison.Ordinal)).ToList();
        Assert.Equal(2, tables.Count); // tokens and positions
        foreach (var table in tables)
        {
            Assert.Equal(0.5 / Math.Sqrt(Width), table.StdAsked);
            Assert.InRange(table.StdMeasured / table.StdAsked!.Value, 0.9, 1.1);
        }

        if (layer) Assert.Equal(outputFirst ? "shared with head.weight" : "shared with wte.weight",
            report.Entries.Single(e => e.Scheme.StartsWith("shared", StringComparison.Ordinal)).Scheme);
    }

    [Fact]
    public void A_deviation_that_is_asked_for_is_taken_as_it_is()
    {
        using var model = new Tied(false);
        var tables = stab.nn.init.initialize_(model, new() { EmbeddingStd = 1 }).Entries.Where(e => e.Parameter is "wte.weight" or "wpe.weight");
        Assert.All(tables, e => Assert.Equal(1.0, e.StdAsked));
    }

    [Fact]
    public void An_embedding_that_only_looks_up_keeps_unit_variance()
    {
        using var model = Sequential(("table", Embedding(50, 8)), ("fc", Linear(8, 50)), ("softmax", LogSoftmax(-1)));
        var report = stab.nn.init.initialize_(model);
        Assert.Equal(1.0, report.Entries[0].StdAsked);
        Assert.Equal("normal", report.Entries[0].Scheme);
    }

    private sealed class Tied : Module<Tensor, Tensor>
    {
        private readonly Embedding wte = Embedding(Vocabulary, Width), wpe = Embedding(Context, Width);
        private readonly Module<Tensor, Tensor> norm = LayerNorm(Width);
        private readonly Linear head = Linear(Width, Vocabulary, hasBias: false);

        public Tied(bool outputFirst) : base(nameof(Tied))
        {
            head.weight = wte.weight!;
            if (outputFirst) register_module("head", head);
            RegisterComponents();
        }

        public override Tensor forward(Tensor tokens) => head.call(norm.call(wte.call(tokens) + wpe.call(arange(tokens.shape[1]))));
    }
}
