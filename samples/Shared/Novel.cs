using System.Text;
using static TorchSharp.torch;

namespace TorchStab.Samples;

/// <summary>A text as numbers: each character's place in the alphabet of those that occur. The last twentieth is for validation.</summary>
public sealed class Novel : IDisposable
{
    private const int ValidationShare = 20, LeastCharacters = 10_000;
    private readonly Tensor _train, _validation;

    private Novel(string alphabet, Tensor train, Tensor validation) =>
        (Alphabet, _train, _validation) = (alphabet, train.DetachFromDisposeScope(), validation.DetachFromDisposeScope());

    /// <summary>The characters that occur, in order.</summary>
    public string Alphabet { get; }

    public long TrainingCharacters => _train.shape[0];

    /// <summary>The novel that comes with the sample.</summary>
    public static string OwnFile => Path.Combine(AppContext.BaseDirectory, "data", "moby-dick.txt.gz");

    /// <exception cref="SampleException">The file is missing, damaged or too short: the message names it and what was expected.</exception>
    public static Novel Read(string path, Device device)
    {
        string text;
        try
        {
            text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(Gzip.Unpack(File.ReadAllBytes(path)));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException or ArgumentException)
        {
            throw new SampleException($"{path} cannot be used ({e.Message.TrimEnd('.')}): expected a text in UTF-8, gzipped or not.", e);
        }
        if (text.Length < LeastCharacters) throw new SampleException($"{path} has {text.Length} characters: expected a text of at least {LeastCharacters}.");
        string alphabet = string.Concat(text.Distinct().Order());
        long[] codes = [.. text.Select(c => (long)alphabet.IndexOf(c))];
        int split = codes.Length - codes.Length / ValidationShare;
        return new Novel(alphabet, tensor(codes[..split], device: device), tensor(codes[split..], device: device));
    }

    /// <exception cref="SampleException">A column of the validation text is too short for a window.</exception>
    public void RequireRoom(int batch, int length)
    {
        long column = _validation.shape[0] / batch;
        if (column <= length)
            throw new SampleException($"--batch {batch} cuts the validation text into columns of {column} characters, too few for --length {length}.");
    }

    /// <summary>Endless pairs (input, target), each (length, batch): every column reads its own part of the text, on and on.</summary>
    public IEnumerable<(Tensor Input, Tensor Target, bool Restarts)> Training(int batch, int length) => Windows(_train, batch, length);

    /// <summary>The validation text once, in the same form.</summary>
    public IEnumerable<(Tensor Input, Tensor Target, bool Restarts)> Validation(int batch, int length) =>
        Windows(_validation, batch, length).Take((int)((_validation.shape[0] / batch - 1) / length));

    public void Dispose()
    {
        _train.Dispose();
        _validation.Dispose();
    }

    private static IEnumerable<(Tensor Input, Tensor Target, bool Restarts)> Windows(Tensor text, int batch, int length)
    {
        long column = text.shape[0] / batch;
        for (long start = 0; ; start = start + 2 * length < column ? start + length : 0)
        {
            var columns = text.narrow(0, 0, column * batch).view(batch, column);
            yield return (columns.narrow(1, start, length).t(), columns.narrow(1, start + 1, length).t(), start == 0);
        }
    }
}
