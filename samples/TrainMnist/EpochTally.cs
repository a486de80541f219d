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

    /// <param name="loss">The step's loss.</param>
    /// <param name="clipped">Whether the optimizer clipped; null: it never does.</param>
    public void Add(double loss, bool? clipped)
    {
        Steps++;
        _loss += loss;
        if (clipped is null) return;
        _clips = true;
        if (clipped.Value) _clipped++;
    }

    public Epoch Close(double accuracy) =>
        new(number, _loss / Steps, accuracy, GradientNorms.Mean(_gradients), _clips ? (double)_clipped / Steps : null);
}
