using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery;

/// <summary>A batch of sequences: what goes in, (length, batch, inputs), and the loss of what comes out.</summary>
internal sealed record SequenceBatch(Tensor Input, Func<Tensor, Tensor> Loss);

/// <summary>Sequences for a recurrent network, and the loss of knowing nothing.</summary>
/// <param name="Inputs">Size of an input.</param>
/// <param name="Outputs">Size of an output.</param>
/// <param name="Guessing">What guessing costs.</param>
/// <param name="Training">Endless batches.</param>
/// <param name="Validation">What learning rates are chosen by.</param>
/// <param name="Test">What verdicts are about.</param>
internal sealed record SequenceTask(
    int Inputs, int Outputs, double Guessing, IEnumerable<SequenceBatch> Training, IEnumerable<SequenceBatch> Validation, IEnumerable<SequenceBatch> Test)
{
    private const int Held = 20;

    /// <summary>The next character of the novel, in nats; guessing: all characters alike. Every second window of the last part is for the choice of rates, the
    /// others for the test.</summary>
    public static SequenceTask Characters(Novel novel, int batch, int length)
    {
        int characters = novel.Alphabet.Length;
        var held = novel.Validation(batch, length).Take(2 * Held).Select(Window);
        return new(characters, characters, Math.Log(characters), novel.Training(batch, length).Select(Window), held.Where((_, i) => i % 2 == 0),
            held.Where((_, i) => i % 2 == 1));

        SequenceBatch Window((Tensor Input, Tensor Target, bool Restarts) window)
        {
            var target = window.Target.reshape(-1);
            return new(nn.functional.one_hot(window.Input, characters).to(ScalarType.Float32), output =>
                nn.functional.cross_entropy(output.view(-1, characters), target));
        }
    }

    /// <summary>
    /// The adding problem (Hochreiter &amp; Schmidhuber 1997): numbers in [0, 1), two of them marked, one in each half; to be told at the end:
    /// their sum. Mean squared error; guessing: always 1, which costs the variance of the sum, 1/6.
    /// </summary>
    public static SequenceTask Adding(int batch, int length, Generator random) =>
        new(2, 1, 1.0 / 6, Endless(batch, length, random), Fresh(batch, length, 1), Fresh(batch, length, 2));

    /// <summary>The same sequences at every call.</summary>
    private static IEnumerable<SequenceBatch> Fresh(int batch, int length, ulong seed)
    {
        using var random = new Generator(seed, CPU);
        foreach (var one in Endless(Held * batch, length, random).Take(2)) yield return one;
    }

    private static IEnumerable<SequenceBatch> Endless(int batch, int length, Generator random)
    {
        while (true)
        {
            var values = rand([length, batch], generator: random);
            var marks = zeros(length, batch);
            foreach (int half in new[] { 0, 1 }) marks.scatter_(0,
                randint(half * length / 2, (half + 1) * length / 2, [1, batch], ScalarType.Int64, generator: random), ones(1, batch));
            var sum = (values * marks).sum(dim: 0);
            yield return new(stack([values, marks], 2), output => nn.functional.mse_loss(output[-1].squeeze(-1), sum));
        }
    }
}
