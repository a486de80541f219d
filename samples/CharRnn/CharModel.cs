using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using State = (TorchSharp.torch.Tensor h, TorchSharp.torch.Tensor c);

namespace CharRnn;

/// <summary>Characters to an embedding, through an LSTM, to logits of the next character.</summary>
internal sealed class CharModel : Module<Tensor, State?, (Tensor logits, State state)>
{
    private readonly TorchSharp.Modules.Embedding embedding;
    private readonly Module<Tensor, State?, (Tensor, Tensor, Tensor)> lstm;
    private readonly TorchSharp.Modules.Linear head;
    private readonly bool _leavesAutocast;

    public CharModel(Cell cell, int characters, TrainingSettings settings) : base(nameof(CharModel))
    {
        embedding = Embedding(characters, settings.Width);
        lstm = cell == Cell.Plain ? LSTM(settings.Width, settings.Width, settings.Layers)
            : stab.nn.LayerNormLSTM(settings.Width, settings.Width, settings.Layers);
        head = Linear(settings.Width, characters);
        _leavesAutocast = cell == Cell.Plain && settings is { Device: DeviceKind.Cpu, Precision: not Precision.Float32 };
        RegisterComponents();
    }

    public override (Tensor logits, State state) forward(Tensor input, State? state)
    {
        using var scope = NewDisposeScope();
        var (output, h, c) = Recur(embedding.call(input), state);
        return (head.call(output).MoveToOuterDisposeScope(), (h.MoveToOuterDisposeScope(), c.MoveToOuterDisposeScope()));
    }

    // In autocast libtorch's own LSTM ends the process on a CPU that has no instructions for the dtype.
    private (Tensor, Tensor, Tensor) Recur(Tensor input, State? state)
    {
        using var region = _leavesAutocast ? stab.amp.autocast(enabled: false) : null;
        return lstm.call(input, state);
    }
}
