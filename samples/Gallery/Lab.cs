using TorchStab.Samples;

namespace Gallery;

/// <summary>What experiments work with: data, seeds, how long they may take, and where they say how far they are.</summary>
internal sealed class Lab : IDisposable
{
    /// <summary>The last of every so many training images are for the choice of learning rates.</summary>
    private const int ValidationShare = 5;
    private readonly CancellationToken _stop;
    private readonly Mnist _train, _test;
    private readonly Lazy<Novel> _novel = new(() => Novel.Read(Novel.OwnFile, TorchSharp.torch.CPU));
    private Action<double> _progress = _ => { };
    private double _from, _width = 1;

    /// <param name="settings">From the command line.</param>
    /// <param name="stop">Ends the run.</param>
    /// <exception cref="SampleException">The data cannot be read.</exception>
    public Lab(Settings settings, CancellationToken stop)
    {
        _stop = stop;
        Quick = settings.Quick;
        Seeds = settings.Seeds;
        _train = Mnist.Train(settings.Data, TorchSharp.torch.CPU);
        _test = Mnist.Test(settings.Data, TorchSharp.torch.CPU);
        long validation = _train.Count / ValidationShare;
        Train = new Images(_train, 0, _train.Count - validation);
        Validation = new Images(_train, Train.Count, validation);
        Test = new Images(_test, 0, _test.Count);
    }

    /// <summary>Whether seconds count and numbers do not.</summary>
    public bool Quick { get; }

    public IReadOnlyList<int> Seeds { get; }

    /// <summary>What networks learn from.</summary>
    public Images Train { get; }

    /// <summary>What learning rates are chosen by: no network trains on it, no verdict is about it.</summary>
    public Images Validation { get; }

    /// <summary>What verdicts are about.</summary>
    public Images Test { get; }

    public Novel Novel => _novel.Value;

    /// <summary>The one for a run whose numbers count, or the one for a short run.</summary>
    public T Pick<T>(T full, T quick) => Quick ? quick : full;

    /// <summary>
    /// Goes through parts of about the same cost: networks, then their steps, nested as loops are. Shows how far the experiment is.
    /// </summary>
    /// <exception cref="OperationCanceledException">Ctrl-C.</exception>
    public IEnumerable<T> Each<T>(IReadOnlyList<T> parts)
    {
        var (from, width) = (_from, _width);
        try
        {
            for (int i = 0; i < parts.Count; i++)
            {
                _stop.ThrowIfCancellationRequested();
                (_from, _width) = (from + width * i / parts.Count, width / parts.Count);
                yield return parts[i];
                _progress(from + width * (i + 1) / parts.Count);
            }
        }
        finally
        {
            (_from, _width) = (from, width);
        }
    }

    /// <summary>0 to <paramref name="count"/> − 1, in the same way.</summary>
    public IEnumerable<int> Each(int count) => Each(Enumerable.Range(0, count).ToArray());

    /// <summary>Starts an experiment: <paramref name="progress"/> gets the share that is done.</summary>
    public void Begin(Action<double> progress) => (_from, _width, _progress) = (0, 1, progress);

    public void Dispose()
    {
        _train.Dispose();
        _test.Dispose();
        if (_novel.IsValueCreated) _novel.Value.Dispose();
    }
}
