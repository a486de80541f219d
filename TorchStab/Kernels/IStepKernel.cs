using System.Numerics;

namespace TorchStab.Kernels;

/// <summary>
/// An optimizer's update of a run of one parameter's elements. The arguments start with their <see cref="StepStreams"/>; the parameter and its
/// gradient are stored as S says, the state as T.
/// </summary>
internal unsafe interface IStepKernel
{
    static abstract void Update<V, T, S>(void* arguments, long first, long count)
        where V : unmanaged, IVector<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where S : IStorage<T>;
}
