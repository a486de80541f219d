using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery;

/// <summary>Sequences for a recurrent network: what goes in, (length, batch, inputs), the loss of what comes out, and the loss of knowing nothing.</summary>
internal sealed record SequenceTask(string Name, int Inputs, int Outputs, double Guessing, IEnumerable<(Tensor Input, Func<Tensor, Tensor> Loss)> Batches)
{
    /// <summary>The next character of the novel, in nats; guessing: all characters alike.</summary>
    public static SequenceTask Characters(Novel novel, int batch, int length)
    {
        int characters = novel.Alphabet.Length;
        return new("next character", characters, characters, Math.Log(characters), novel.Training(batch, length).Select(window =>
        {
            var target = window.Target.reshape(-1);
            return (nn.functional.one_hot(window.Input, characters).to(ScalarType.Float32),
                (Func<Tensor, Tensor>)(output => nn.functional.cross_entropy(output.view(-1, characters), target)));
        }));
    }

    /// <summary>
    /// The adding problem (Hochreiter &amp; Schmidhuber 1997): numbers in [0, 1), two of them marked, one in each half; to be told at the end:
    /// their sum. Mean squared error; guessing: always 1, which costs the variance of the sum, 1/6.
    /// </summary>
    public static SequenceTask Adding(int batch, int length, Generator random) => new("adding problem", 2, 1, 1.0 / 6, Enumerable.Range(0, int.MaxValue).Select(_ =>
    {
        var values = rand([length, batch], generator: random);
        var marks = zeros(length, batch);
        foreach (int half in new[] { 0, 1 }) marks.scatter_(0, randint(half * length / 2, (half + 1) * length / 2, [1, batch], ScalarType.Int64, generator: random), ones(1, batch));
        var sum = (values * marks).sum(dim: 0);
        return (stack([values, marks], 2), (Func<Tensor, Tensor>)(output => nn.functional.mse_loss(output[-1].squeeze(-1), sum)));
    }));
}
