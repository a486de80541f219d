namespace CharRnn;

/// <summary>What one step showed: loss in bits a character, the gradient's norm before clipping, and whether it was clipped.</summary>
internal sealed record Step(int Number, double Bits, double GradNorm, bool Clipped);

/// <summary>The training of one model so far.</summary>
internal sealed class History(ModelSettings model)
{
    public ModelSettings Model { get; } = model;

    public List<Step> Steps { get; } = [];

    /// <summary>Bits a character on the validation text; NaN before the end, or when the weights are no numbers any more.</summary>
    public double ValidationBits { get; set; } = double.NaN;

    /// <summary>The step whose loss or gradient was no number; null if none was.</summary>
    public int? ExplodedAt { get; set; }

    public double Seconds { get; set; }

    /// <summary>Text the model wrote at the end.</summary>
    public string Sample { get; set; } = "";
}
