using TorchStab;
using TorchStab.Samples;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using Linear = TorchSharp.Modules.Linear;

namespace Gallery;

/// <summary>
/// A recurrent network that reads an image row by row: h ← tanh(norm(W x + U h)), and a linear layer on the last state. The norm is one
/// for all rows, or one for each.
/// </summary>
internal sealed class RowReader : Module<Tensor, Tensor>
{
    private readonly int _rows;
    private readonly Linear input, recurrent, output;
    private readonly TorchSharp.Modules.ModuleList<Module<Tensor, Tensor>> norms = new();

    /// <param name="rows">In how many parts an image is read: 28, or a multiple of it that divides its pixels.</param>
    /// <param name="width">Size of the state.</param>
    /// <param name="norm">Makes a norm; null: none.</param>
    /// <param name="eachRow">Whether each row has its own.</param>
    public RowReader(int rows, int width, Func<Module<Tensor, Tensor>>? norm, bool eachRow) : base(nameof(RowReader))
    {
        _rows = rows;
        (input, recurrent, output) = (Linear(Mnist.Pixels / _rows, width), Linear(width, width, hasBias: false), Linear(width, Mnist.Classes));
        stab.nn.init.xavier_normal_(input.weight!);
        stab.nn.init.orthogonal_(recurrent.weight!);
        for (int i = 0; norm is not null && i < (eachRow ? rows : 1); i++) norms.Add(norm());
        RegisterComponents();
    }

    public override Tensor forward(Tensor images)
    {
        using var scope = NewDisposeScope();
        var rows = input.call(images.view(-1, _rows, Mnist.Pixels / _rows)).unbind(1);
        var state = zeros_like(rows[0]);
        for (int row = 0; row < _rows; row++)
        {
            var sum = rows[row] + recurrent.call(state);
            if (norms.Count > 0) sum = norms[Math.Min(row, norms.Count - 1)].call(sum);
            state = sum.tanh();
        }
        return output.call(state).MoveToOuterDisposeScope();
    }
}
