using System.Numerics;

namespace TorchStab.Kernels;

/// <summary>
/// An optimizer's update of a run of one parameter's elements: where they lie, and the kernel's own arguments. The parameter and its gradient are stored
/// as S says, the state as T.
/// </summary>
internal unsafe interface IStepKernel
{
    static abstract void Update<V, T, S>(StepStreams* streams, void* arguments, long first, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where S : IStorage<T>;
}
