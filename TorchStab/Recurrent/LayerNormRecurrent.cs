using TorchSharp.Modules;
using TorchStab.Normalization;
using TorchStab.Recurrent;
using TorchStab.Reparametrization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

/// <summary>The base class of the layer-normalized sequence modules: layers of cells, run along time.</summary>
/// <typeparam name="TCell">The type of a layer's cell.</typeparam>
/// <typeparam name="TState">The initial state that <c>forward</c> takes.</typeparam>
/// <typeparam name="TResult">The output and the states that <c>forward</c> returns.</typeparam>
public abstract class LayerNormRecurrent<TCell, TState, TResult> : nn.Module<Tensor, TState, TResult> where TCell : nn.Module
{
    private protected LayerNormRecurrent(
        string name, long input_size, long hidden_size, long num_layers, bool batch_first, double dropout, Func<long, TCell> cell)
        : base(name)
    {
        RecurrentCheck.Sizes(input_size, hidden_size, num_layers);
        RecurrentCheck.Dropout(dropout);
        (this.input_size, this.hidden_size, this.num_layers, this.batch_first, this.dropout) = (input_size, hidden_size, num_layers, batch_first, dropout);
        cells = new ModuleList<TCell>([.. Enumerable.Range(0, (int)num_layers).Select(layer => cell(layer == 0 ? input_size : hidden_size))]);
        register_module(nameof(cells), cells);
    }

    /// <summary>The cells of the layers, the first layer first.</summary>
    public ModuleList<TCell> cells { get; }

    /// <summary>The number of features of the sequences.</summary>
    public long input_size { get; }

    /// <summary>The number of features of the states and of the output.</summary>
    public long hidden_size { get; }

    /// <summary>The number of layers.</summary>
    public long num_layers { get; }

    /// <summary>Whether input and output are (N, T, *) rather than (T, N, *); states are (num_layers, N, hidden_size) in both cases.</summary>
    public bool batch_first { get; }

    /// <summary>The probability with which, in training, an output of a layer is zeroed before it becomes the next layer's input.</summary>
    public double dropout { get; }

    /// <summary>Draws new weights for every cell.</summary>
    public abstract void reset_parameters();

    /// <inheritdoc cref="AffineModule.load_state_dict"/>
    public override (IList<string> missing_keys, IList<string> unexpected_keyes) load_state_dict(
        Dictionary<string, Tensor> source, bool strict = true, IList<string>? skip = null) =>
        new StateLoad(GetName(), state_dict(), OlderKeys.Renamed(this, source), skip).Run(strict);

    /// <inheritdoc cref="AffineModule.load"/>
    public override nn.Module load(
        BinaryReader reader, bool strict = true, IList<string>? skip = null, Dictionary<string, bool>? loadedParameters = null) =>
        StateLoad.Read(this, reader, strict, skip, loadedParameters);

    /// <summary>The class name and the sizes, as PyTorch prints them.</summary>
    public override string ToString()
    {
        string layers = num_layers == 1 ? "" : $", num_layers={num_layers}", first = batch_first ? ", batch_first=True" : "";
        return $"{GetName()}({input_size}, {hidden_size}{layers}{first}{(dropout == 0 ? "" : $", dropout={Repr.Of(dropout)}")})";
    }

    /// <summary>Does nothing: the constructor registers the cells.</summary>
    protected override void RegisterComponents() { }

    /// <summary>The number of state tensors: 1 for h, 2 for h and c.</summary>
    private protected abstract int States { get; }

    /// <summary>The weights' dtype.</summary>
    private protected abstract ScalarType Dtype { get; }

    /// <summary>The input's part of a layer's gates, for all steps.</summary>
    private protected abstract Tensor InputGates(TCell cell, Tensor x);

    /// <summary>The recurrent weights of a layer, the same for all steps of a pass.</summary>
    private protected abstract Tensor RecurrentWeight(TCell cell);

    /// <summary>The states after one step of a layer, h first.</summary>
    private protected abstract Tensor[] Step(TCell cell, Tensor weight_hh, Tensor inputGates, Tensor[] state);

    /// <summary>Checks the arguments, runs the layers, and returns output and states in the caller's layout.</summary>
    private protected (Tensor output, Tensor[] state) Run(Tensor input, Tensor[]? hx, Tensor? lengths)
    {
        RecurrentCheck.SequenceInput(input, GetName()["LayerNorm".Length..], input_size, Dtype, batch_first);
        bool batched = input.dim() == 3, swap = batched && batch_first;
        long[] shape = batched ? input.shape : [input.shape[0], 1, input.shape[1]];
        var (steps, batch) = swap ? (shape[1], shape[0]) : (shape[0], shape[1]);
        if (hx is not null) RecurrentCheck.SequenceState(hx, input, [num_layers, batch, hidden_size]);
        RecurrentCheck.Lengths(lengths, batch, steps);

        using var scope = NewDisposeScope();
        var x = swap ? input.transpose(0, 1) : input.reshape(shape);
        var start = hx?.Select(s => s.reshape(num_layers, batch, hidden_size)).ToArray()
            ?? [.. Enumerable.Range(0, States).Select(_ => x.new_zeros([num_layers, batch, hidden_size]))];
        var (output, last) = Layers(x, start, Recurrence.Valid(lengths, x));
        if (swap) output = output.transpose(0, 1);
        if (!batched) (output, last) = (output.squeeze(1), [.. last.Select(s => s.squeeze(1))]);
        return (output.MoveToOuterDisposeScope(), [.. last.Select(s => s.MoveToOuterDisposeScope())]);
    }

    private (Tensor output, Tensor[] state) Layers(Tensor x, Tensor[] start, Tensor? valid)
    {
        var last = new List<Tensor[]>();
        for (int layer = 0; layer < num_layers; layer++)
        {
            var cell = cells[layer];
            if (layer > 0 && dropout > 0) x = nn.functional.dropout(x, dropout, training);
            if (valid is not null) x = Recurrence.WithoutPadding(x, valid);
            var weight = RecurrentWeight(cell);
            var (output, state) = Recurrence.Run(InputGates(cell, x), [.. start.Select(s => s[layer])], valid, (gates, s) => Step(cell, weight, gates, s));
            x = output;
            last.Add(state);
        }
        return (x, [.. start.Select((_, k) => stack(last.Select(s => s[k])))]);
    }
}
