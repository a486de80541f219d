namespace TrainMnist;

/// <summary>Adds up the steps of an epoch.</summary>
internal sealed class EpochTally(int number)
{
    private readonly List<GradientNorms> _gradients = [];
    private double _loss;
    private int _clipped;
    private bool _clips;

    public int Steps { get; private set; }

    public void Add(GradientNorms gradients) => _gradients.Add(gradients);

    public void Add(double loss)
    {
        Steps++;
        _loss += loss;
    }

    /// <summary>Whether the step clipped; null: nothing ever does.</summary>
    public void Clipped(bool? clipped)
    {
        _clips |= clipped is not null;
        if (clipped == true) _clipped++;
    }

    public Epoch Close(double accuracy) =>
        new(number, _loss / Steps, accuracy, GradientNorms.Mean(_gradients), _clips ? (double)_clipped / Steps : null);
}
