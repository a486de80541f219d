using TorchStab.Clipping;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Optimization;

/// <summary>The part of a step that finds outliers: remembers norms and losses, and gives the reason to skip a step.</summary>
internal sealed class SpikeGuard
{
    private const string Marker = "SpikePolicy";
    private SpikePolicy _policy = SpikePolicy.Off;
    private SpikeWindow _norms = new(), _losses = new();

    /// <summary>The policy. Setting it clears the remembered values.</summary>
    public SpikePolicy Policy
    {
        get => _policy;
        set => (_policy, _norms, _losses, Row) = (value ?? throw new ArgumentNullException(nameof(value)), new(), new(), 0);
    }

    /// <summary>The loss of the next step; null: not known.</summary>
    public double? Loss { get; set; }

    /// <summary>The number of consecutive spikes up to the last step.</summary>
    public int Row { get; private set; }

    /// <summary>The reason why the step is a spike; null if it is not.</summary>
    public string? WhySpike(double norm) => _policy.Window == 0 ? null
        : _norms.WhySpike(norm, "the gradient norm", _policy) ?? (Loss is { } loss ? _losses.WhySpike(loss, "the loss", _policy) : null);

    /// <summary>Takes the loss from what a closure returned, if a policy looks at it.</summary>
    public void Observe(Tensor? loss)
    {
        if (loss is not null && _policy.Window > 0) Loss = ReadNumber(loss);
    }

    /// <summary>Remembers the norm and the loss of a step.</summary>
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

    /// <summary>Loads the windows. A file that was written without a policy does not contain them; they are not changed then.</summary>
    public void Load(BinaryReader reader)
    {
        if (_policy.Window == 0 || (reader.BaseStream.CanSeek && reader.BaseStream.Position >= reader.BaseStream.Length)) return;
        if (reader.ReadString() != Marker)
            throw new InvalidDataException("the file holds something else where the memory of SpikePolicy was expected: load it with the clipping rule and the "
                + "policy that it was saved with");
        var (norms, losses) = (SpikeWindow.Read(reader, _policy), SpikeWindow.Read(reader, _policy));
        (_norms, _losses, Row) = (norms, losses, 0);
    }
}
