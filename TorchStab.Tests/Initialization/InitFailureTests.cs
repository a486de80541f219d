using TorchSharp;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab.Tests.Initialization;

/// <summary>An initialization that fails, for whatever reason, leaves every parameter as it was.</summary>
public class InitFailureTests
{
    private sealed class Holder : Module<Tensor, Tensor>
    {
        public Holder(params Module[] parts) : base(nameof(Holder))
        {
            for (int i = 0; i < parts.Length; i++) register_module($"p{i}", parts[i]);
        }

        public override Tensor forward(Tensor input) => throw new FormatException("mine");
    }

    private static void FailsWhole(Module model, Action call, string words)
    {
        var before = model.parameters().Select(p => p.detach().clone()).ToList();
        var error = Assert.ThrowsAny<Exception>(call);
        Assert.Contains(words, error.Message, StringComparison.Ordinal);
        foreach (var (expected, p) in before.Zip(model.parameters())) Compare.Identical(expected, p, words);
    }

    [Fact]
    public void A_function_of_the_user_that_throws_late()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(("a", Linear(4, 4)), ("b", Linear(4, 4)), ("c", Linear(4, 4)));
        static bool Fails(string name) => name == "c" ? throw new FormatException("mine") : false;
        int calls = 0;
        FailsWhole(model, () => stab.nn.init.initialize_(model, new()
        {
            Rules = [InitializationRule.When((name, _) => Fails(name), Nonlinearity.ReLU)],
        }), "mine");
        FailsWhole(model, () => stab.nn.init.initialize_(model, new() { ResidualOutputs = (name, _) => Fails(name) }), "mine");
        FailsWhole(model, () => stab.nn.init.initialize_(model, new()
        {
            ResidualCount = 2,
            ResidualOutputs = (_, _) => ++calls > 2 ? throw new FormatException("mine") : true,
        }), "mine");
        FailsWhole(model, () => stab.nn.init.initialize_(model, new() { ResidualBlocks = (name, _) => Fails(name) }), "mine");
        FailsWhole(model, () => stab.nn.init.initialize_(model, new() { Run = () => throw new FormatException("mine") }), "mine");
    }

    [Fact]
    public void Numbers_that_a_parameter_cannot_hold()
    {
        using var scope = NewDisposeScope();
        using var model = new Holder(Linear(4, 4), LSTM(4, 4), LSTM(4, 4).to(float16), Embedding(3, 4));
        foreach (double value in new[] { double.NaN, double.PositiveInfinity, double.NegativeInfinity, 1e308, 1e39, 1e5 })
        {
            string words = !double.IsFinite(value) ? "in ForgetBias" : "without overflow";
            FailsWhole(model, () => stab.nn.init.initialize_(model, new() { ForgetBias = value }), words);
            words = value is double.NegativeInfinity or double.NaN ? "in EmbeddingStd" : words.Replace("ForgetBias", "EmbeddingStd", StringComparison.Ordinal);
            FailsWhole(model, () => stab.nn.init.initialize_(model, new() { EmbeddingStd = value }), words);
        }
        stab.nn.init.initialize_(model, new() { ForgetBias = -60000 });
    }

    [Fact]
    public void A_parameter_that_cannot_be_written()
    {
        using var scope = NewDisposeScope();
        var last = Linear(4, 4);
        using var model = Sequential(("a", Linear(4, 4)), ("b", last));
        last.weight = new TorchSharp.Modules.Parameter(ones(1, 4).expand(4, 4));
        FailsWhole(model, () => stab.nn.init.initialize_(model), "b.weight cannot be written: it is expanded");
        using (inference_mode()) last.weight = new TorchSharp.Modules.Parameter(ones(4, 4));
        FailsWhole(model, () => stab.nn.init.initialize_(model), "b.weight cannot be written: it was made in inference mode");
        using (inference_mode()) stab.nn.init.initialize_(model);
    }

    [Fact]
    public void A_run_of_LSUV_that_throws()
    {
        using var scope = NewDisposeScope();
        using var model = Sequential(("a", Linear(4, 4)), ("b", Linear(4, 4)), ("fails", new Holder()));
        FailsWhole(model, () => stab.nn.init.lsuv_(model, randn(9, 4)), "mine");
        FailsWhole(model, () => stab.nn.init.lsuv_(model, randn(9, 5)), "mat1 and mat2");
    }
}
