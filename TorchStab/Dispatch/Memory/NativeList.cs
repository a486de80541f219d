using System.Runtime.InteropServices;

namespace TorchStab.Dispatch;

/// <summary>
/// A growing array outside the managed heap, so that its address does not change while a job uses it. <see cref="Clear"/> keeps the memory for the next use.
/// </summary>
internal sealed unsafe class NativeList<T> where T : unmanaged
{
    private int _capacity;

    ~NativeList() => NativeMemory.AlignedFree(Items);

    public T* Items { get; private set; }

    public int Count { get; private set; }

    public void Clear() => Count = 0;

    public void Add(in T item)
    {
        Resize(Count + 1);
        Items[Count - 1] = item;
    }

    /// <summary>Sets the count. New items are uninitialized.</summary>
    public void Resize(int count)
    {
        if (count > _capacity)
        {
            _capacity = Math.Max(count, 2 * _capacity);
            Items = (T*)NativeMemory.AlignedRealloc(Items, (nuint)_capacity * (nuint)sizeof(T), 64);
        }
        Count = count;
    }
}
