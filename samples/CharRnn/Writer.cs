using System.Text;
using TorchSharp;
using static TorchSharp.torch;
using State = (TorchSharp.torch.Tensor h, TorchSharp.torch.Tensor c);

namespace CharRnn;

/// <summary>Lets a model write: each character is drawn from what the model expects after those before it.</summary>
internal sealed class Writer(CharModel model, string alphabet, Device device)
{
    /// <summary>Below 1: likelier characters than the model's own odds would give.</summary>
    private const double Temperature = 0.7;

    public string Write(string beginning, int length, ulong seed)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(seed, CPU);
        var text = new StringBuilder(beginning);
        long[] codes = [.. beginning.Where(alphabet.Contains).Select(c => (long)alphabet.IndexOf(c))];
        var input = tensor(codes.Length > 0 ? codes : [0], device: device).unsqueeze(1);
        State? state = null;
        for (int i = 0; i < length; i++)
        {
            var (logits, next) = model.call(input, state);
            state = next;
            var odds = (logits[-1, 0] / Temperature).softmax(0).cpu();
            long code = odds.multinomial(1, generator: generator).ToInt64();
            text.Append(alphabet[(int)code]);
            input = tensor(new[] { code }, device: device).unsqueeze(1);
        }
        return text.ToString();
    }
}
