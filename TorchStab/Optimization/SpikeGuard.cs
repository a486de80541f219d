using TorchStab.Clipping;

namespace TorchStab.Optimization;

/// <summary>The part of a step that looks for outliers: remembers norms and losses, and says why a step is to be skipped.</summary>
internal sealed class SpikeGuard
{
    private const string Marker = "SpikePolicy";
    private SpikePolicy _policy = SpikePolicy.Off;
    private SpikeWindow _norms = new(), _losses = new();

    /// <summary>Setting it forgets what was remembered.</summary>
    public SpikePolicy Policy
    {
        get => _policy;
        set => (_policy, _norms, _losses, Row) = (value ?? throw new ArgumentNullException(nameof(value)), new(), new(), 0);
    }

    /// <summary>The loss of the step to come; null where it is not known.</summary>
    public double? Loss { get; set; }

    /// <summary>Spikes in a row so far.</summary>
    public int Row { get; private set; }

    /// <summary>Why the step is one; null if it is none.</summary>
    public string? WhySpike(double norm) => _policy.Window == 0 ? null
        : _norms.WhySpike(norm, "the gradient norm", _policy) ?? (Loss is { } loss ? _losses.WhySpike(loss, "the loss", _policy) : null);

    /// <summary>Remembers a step that was decided on.</summary>
    public void Remember(double norm, bool spike)
    {
        double? loss = Loss;
        (Row, Loss) = (spike ? Row + 1 : 0, null);
        if (_policy.Window == 0) return;
        _norms.Add(norm, _policy);
        if (loss is { } value) _losses.Add(value, _policy);
    }

    public void Save(BinaryWriter writer)
    {
        if (_policy.Window == 0) return;
        writer.Write(Marker);
        _norms.Save(writer);
        _losses.Save(writer);
    }

    /// <summary>Files written without a policy end before it; the windows then start anew.</summary>
    public void Load(BinaryReader reader)
    {
        if (_policy.Window == 0 || (reader.BaseStream.CanSeek && reader.BaseStream.Position >= reader.BaseStream.Length)) return;
        if (reader.ReadString() != Marker) throw new InvalidDataException("the file holds something else where the memory of SpikePolicy was expected: load it with the clipping rule and the policy that it was saved with");
        var (norms, losses) = (SpikeWindow.Read(reader, _policy), SpikeWindow.Read(reader, _policy));
        (_norms, _losses, Row) = (norms, losses, 0);
    }
}
