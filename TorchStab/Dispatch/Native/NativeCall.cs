using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>
/// One call of an operation of libtorch by its name: add the arguments in the order of the operation's schema, then <see cref="Run(ReadOnlySpan{byte})"/>, then
/// take the results. The operation is not recorded for autograd. Check the arguments first: a call that libtorch refuses prints a message on the standard error
/// stream. The interface has no numbers of type Scalar.
/// </summary>
/// <remarks>
/// A call owns what it is given, so each tensor is passed as a new handle. Keep the tensors reachable until the call has ended. A call that was filled and not
/// run leaks its arguments.
/// </remarks>
internal unsafe ref struct NativeCall
{
    private const int Most = 20;

    private fixed ulong _stack[Most];
    private int _count;

    /// <summary>Adds a tensor.</summary>
    public void Add(nint tensor) => Push(StableLibrary.Owned(tensor));

    /// <summary>Adds an optional tensor; 0 is none.</summary>
    public void AddOptional(nint tensor) => Push(tensor == 0 ? 0 : Cell(StableLibrary.Owned(tensor)));

    /// <summary>Adds an optional number.</summary>
    public void AddOptional(double? number) => Push(number is { } value ? Cell(BitConverter.DoubleToUInt64Bits(value)) : 0);

    public void Add(double number) => Push(BitConverter.DoubleToUInt64Bits(number));

    public void Add(long number) => Push((ulong)number);

    public void Add(bool flag) => Push(flag ? 1u : 0u);

    /// <summary>Adds a list of integers.</summary>
    public void Add(scoped ReadOnlySpan<long> numbers) => Push(StableLibrary.List(MemoryMarshal.Cast<long, ulong>(numbers)));

    /// <summary>Adds a list of tensors, which may be empty.</summary>
    public void Add(ReadOnlySpan<nint> tensors) => Push(StableLibrary.List(tensors));

    /// <summary>Adds a list of flags: an <c>output_mask</c>, which says what results are wanted.</summary>
    public void Add(bool first, bool second) => Push(StableLibrary.List([first ? 1u : 0u, second ? 1u : 0u]));

    /// <inheritdoc cref="Add(bool, bool)"/>
    public void Add(bool first, bool second, bool third) => Push(StableLibrary.List([first ? 1u : 0u, second ? 1u : 0u, third ? 1u : 0u]));

    /// <summary>Runs the operation of this name, as <c>"aten::relu\0"u8</c>.</summary>
    /// <exception cref="ExternalException">The operation failed.</exception>
    public void Run(ReadOnlySpan<byte> name) => Run(name, "\0"u8);

    /// <inheritdoc cref="Run(ReadOnlySpan{byte})"/>
    /// <param name="name">The operation.</param>
    /// <param name="overload">Its overload, as <c>"Tensor\0"u8</c>.</param>
    public void Run(ReadOnlySpan<byte> name, ReadOnlySpan<byte> overload)
    {
        fixed (ulong* stack = _stack) StableLibrary.Call(name, overload, stack);
    }

    /// <summary>A result that is a tensor: a handle, which the caller owns. Take every result once.</summary>
    /// <param name="result">Its place among the results.</param>
    /// <param name="wanted">Otherwise it is freed, and 0 is returned. It may be a tensor that is not defined.</param>
    public readonly nint Take(int result, bool wanted = true)
    {
        nint handle = (nint)_stack[result];
        if (wanted) return handle;
        LibTorch.Dispose(handle);
        return 0;
    }

    /// <summary>The results of an operation that gives the gradients of a norm's input, weight and bias: those that are required.</summary>
    public readonly Handles TakeGradients(NodeState state) =>
        new() { Input = Take(0, state.InputWanted), Weight = Take(1, state.WeightWanted), Bias = Take(2, state.BiasWanted) };

    /// <summary>A result that is a list of tensors: handles, which the caller owns.</summary>
    public readonly nint[] TakeList(int result) => StableLibrary.TakeTensors(_stack[result]);

    // C++ deletes the cell, which on every platform frees the memory of malloc.
    private static ulong Cell(ulong value)
    {
        ulong* cell = (ulong*)NativeMemory.Alloc(sizeof(ulong));
        *cell = value;
        return (ulong)cell;
    }

    private void Push(ulong item)
    {
        if (_count == Most) throw new InvalidOperationException("an operation of more arguments than a call has room for");
        _stack[_count++] = item;
    }
}
