using TorchStab.Normalization;
using static TorchSharp.torch;

namespace TorchStab.Recurrent;

/// <summary>Checks arguments of the recurrent modules, with PyTorch's messages, before anything is computed.</summary>
internal static class RecurrentCheck
{
    public static void Sizes(long input_size, long hidden_size, long num_layers = 1)
    {
        if (input_size < 0) throw OutOfRange($"input_size must not be negative, got {input_size}", nameof(input_size));
        if (hidden_size <= 0) throw OutOfRange($"hidden_size must be greater than zero, got {hidden_size}", nameof(hidden_size));
        if (num_layers <= 0) throw OutOfRange($"num_layers must be greater than zero, got {num_layers}", nameof(num_layers));
    }

    private static ArgumentOutOfRangeException OutOfRange(FormattableString message, string name) => new(name, FormattableString.Invariant(message));

    public static void Dropout(double dropout)
    {
        if (!(dropout is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(dropout),
                $"dropout should be a number in range [0, 1] representing the probability of an element being zeroed, got {Repr.Of(dropout)}");
    }

    /// <summary>A cell's input: (input_size) or (N, input_size), in the weights' dtype.</summary>
    public static void CellInput(Tensor input, string cell, long input_size, ScalarType dtype)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() is not (1 or 2)) throw new ArgumentException($"{cell}: Expected input to be 1D or 2D, got {input.dim()}D instead", nameof(input));
        Dtype(input, dtype);
        if (input.shape[^1] != input_size)
            throw new ArgumentException($"input has inconsistent input_size: got {input.shape[^1]} expected {input_size}", nameof(input));
    }

    /// <summary>A cell's state: the rank of the input and its batch size.</summary>
    public static void CellState(Tensor hx, int index, string what, Tensor input, string cell, long hidden_size)
    {
        ArgumentNullException.ThrowIfNull(hx, what);
        if (hx.dim() is not (1 or 2)) throw new ArgumentException($"{cell}: Expected {what} to be 1D or 2D, got {hx.dim()}D instead", nameof(hx));
        if (hx.dim() != input.dim())
            throw new ArgumentException(
                $"{cell}: {what} of shape {Repr.List(hx.shape)} does not have the rank of the input of shape {Repr.List(input.shape)}", nameof(hx));
        if (hx.dim() == 2 && hx.shape[0] != input.shape[0])
            throw new ArgumentException($"Input batch size {input.shape[0]} doesn't match hidden{index} batch size {hx.shape[0]}", nameof(hx));
        if (hx.shape[^1] != hidden_size)
            throw new ArgumentException($"hidden{index} has inconsistent hidden_size: got {hx.shape[^1]}, expected {hidden_size}", nameof(hx));
        StateDtype(hx, input);
    }

    /// <summary>A sequence module's input: (T, N, input_size), (N, T, input_size) or (T, input_size), with T &gt; 0.</summary>
    public static void SequenceInput(Tensor input, string module, long input_size, ScalarType dtype, bool batch_first)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() is not (2 or 3)) throw new ArgumentException($"{module}: Expected input to be 2D or 3D, got {input.dim()}D instead", nameof(input));
        Dtype(input, dtype);
        if (input.shape[^1] != input_size)
            throw new ArgumentException($"input.size(-1) must be equal to input_size. Expected {input_size}, got {input.shape[^1]}", nameof(input));
        if (input.shape[batch_first && input.dim() == 3 ? 1 : 0] == 0)
            throw new ArgumentException($"Expected sequence length to be larger than 0 in RNN; the input has shape {Repr.List(input.shape)}", nameof(input));
    }

    /// <summary>Initial states of a sequence module: the input's rank, and (num_layers, N, hidden_size).</summary>
    public static void SequenceState(Tensor[] hx, Tensor input, long[] expected)
    {
        foreach (var s in hx) ArgumentNullException.ThrowIfNull(s, nameof(hx));
        bool batched = input.dim() == 3;
        if (hx.Any(s => s.dim() != input.dim()))
            throw new ArgumentException($"For {(batched ? "batched 3-D" : "unbatched 2-D")} input, {Ranks(hx, input.dim())}", nameof(hx));
        for (int k = 0; k < hx.Length; k++)
        {
            // An unbatched state is used as one with a batch of one, and compared as such.
            long[] shape = batched ? hx[k].shape : [hx[k].shape[0], 1, hx[k].shape[1]];
            if (!shape.SequenceEqual(expected))
                throw new ArgumentException(
                    $"Expected hidden{(hx.Length > 1 ? $"[{k}]" : "")} size {Repr.Tuple(expected)}, got {Repr.List(shape)}", nameof(hx));
            StateDtype(hx[k], input);
        }
    }

    /// <summary>Lengths as for pack_padded_sequence, in any order: one for each sequence, from 1 to the number of steps.</summary>
    public static void Lengths(Tensor? lengths, long batch, long steps)
    {
        if (lengths is null) return;
        if (lengths.dim() != 1 || lengths.dtype is not (ScalarType.Int64 or ScalarType.Int32))
            throw new ArgumentException(
                $"'lengths' argument should be a 1D CPU int64 tensor, but got {lengths.dim()}D {lengths.device} {lengths.dtype} tensor", nameof(lengths));
        if (lengths.shape[0] != batch)
            throw new ArgumentException($"Expected `len(lengths)` to be equal to batch_size, but got {lengths.shape[0]} (batch_size={batch})", nameof(lengths));
        if (batch == 0) return;
        using var scope = NewDisposeScope();
        if (lengths.le(0).any().item<bool>())
            throw new ArgumentException("Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0", nameof(lengths));
        if (lengths.gt(steps).any().item<bool>())
            throw new ArgumentException(
                $"an element of 'lengths' is {lengths.max().to(ScalarType.Int64).item<long>()}, but the input has {steps} steps", nameof(lengths));
    }

    private static string Ranks(Tensor[] hx, long rank) => hx.Length == 1
        ? $"hx should also be {rank}-D but got {hx[0].dim()}-D tensor"
        : $"hx and cx should also be {rank}-D but got ({hx[0].dim()}-D, {hx[1].dim()}-D) tensors";

    private static void Dtype(Tensor input, ScalarType weight)
    {
        if (input.dtype != weight && !AutocastPolicy.Reconciles(input, weight))
            throw new ArgumentException(
                $"RNN input dtype ({Repr.Of(input.dtype)}) does not match weight dtype ({Repr.Of(weight)}): convert one with .to(dtype)", nameof(input));
    }

    private static void StateDtype(Tensor hx, Tensor input)
    {
        if (hx.dtype != input.dtype && !AutocastPolicy.Reconciles(input, hx.dtype))
            throw new ArgumentException(
                $"the state's dtype ({Repr.Of(hx.dtype)}) does not match the input's ({Repr.Of(input.dtype)}): convert one with .to(dtype)", nameof(hx));
    }
}
