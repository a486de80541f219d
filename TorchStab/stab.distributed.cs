using TorchStab.Dispatch;
using TorchStab.Distributed;
using static TorchSharp.torch;

namespace TorchStab;

public static partial class stab
{
    /// <summary>
    /// Functions by which several processes (ranks) train one model, as <c>torch.distributed</c>. The engine is MPI: start the program with Open MPI's
    /// <c>mpirun -n 4 dotnet program.dll</c>. Without mpirun the program is a single rank.
    /// </summary>
    /// <remarks>
    /// All ranks must make the same calls in the same order. Before each exchange they compare their calls; if a call differs, all ranks raise an error. A
    /// rank may call from any of its threads, one at a time.
    /// </remarks>
    public static class distributed
    {
        /// <summary>Whether Open MPI's libmpi can be loaded. A single process does not need it.</summary>
        /// <returns>False if it is missing or belongs to another MPI.</returns>
        /// <exception cref="InvalidOperationException">Never; <see cref="init_process_group()"/> raises the reason.</exception>
        public static bool is_available() => MpiLibrary.Problem is null;

        /// <summary>Whether <see cref="init_process_group()"/> was called.</summary>
        /// <returns>True until <see cref="destroy_process_group"/>.</returns>
        /// <exception cref="InvalidOperationException">Never.</exception>
        public static bool is_initialized() => ProcessGroups.Current is not null;

        /// <summary>
        /// Joins the ranks that mpirun started. libmpi (Open MPI 4 or 5) is loaded by name; the environment variable TORCHSTAB_MPI names another file.
        /// After this call, an unhandled exception on one rank is printed and ends all ranks.
        /// </summary>
        /// <remarks>A rank waits for the others for 30 minutes at most, as in PyTorch; then it ends the job.</remarks>
        /// <exception cref="InvalidOperationException">
        /// Called twice ("trying to initialize the default process group twice!"); or mpirun started the program, but libmpi is missing or not Open MPI's:
        /// the message says what to install.
        /// </exception>
        public static void init_process_group() => ProcessGroups.Initialize(ProcessGroups.DefaultTimeout);

        /// <inheritdoc cref="init_process_group()"/>
        /// <param name="timeout">How long a rank may wait for the others before it ends the job.</param>
        /// <exception cref="ArgumentException"><paramref name="timeout"/> is not above 0, or is 49 days or more.</exception>
        public static void init_process_group(TimeSpan timeout) => ProcessGroups.Initialize(timeout);

        /// <summary>Joins ranks that another engine connects.</summary>
        /// <param name="collective">The engine; the group owns and disposes it.</param>
        /// <exception cref="InvalidOperationException">Called twice ("trying to initialize the default process group twice!").</exception>
        public static void init_process_group(ICollective collective) => ProcessGroups.Initialize(collective);

        /// <summary>The number of this rank, from 0 to the number of ranks − 1.</summary>
        /// <returns>The rank; 0 without mpirun.</returns>
        /// <exception cref="InvalidOperationException">
        /// "Default process group has not been initialized, please make sure to call init_process_group."
        /// </exception>
        public static int get_rank() => ProcessGroups.Required.Rank;

        /// <summary>The number of ranks of the process group.</summary>
        /// <returns>The number; 1 without mpirun.</returns>
        /// <inheritdoc cref="get_rank"/>
        public static int get_world_size() => ProcessGroups.Required.WorldSize;

        /// <summary>Combines the tensors of all ranks in place, as <c>torch.distributed.all_reduce</c>; every rank gets the same bits.</summary>
        /// <param name="tensor">Of one shape and dtype on all ranks: float32, float64, int64, int32; bfloat16 and float16 are combined in float32.</param>
        /// <param name="op">How the elements are combined; default Sum.</param>
        /// <exception cref="ArgumentException">Another dtype, a sparse tensor, a tensor inside the autograd graph, or the mean of integers.</exception>
        /// <exception cref="InvalidOperationException">No group, or a rank makes another call: all ranks raise it, and the message names the calls.</exception>
        public static void all_reduce(Tensor tensor, ReduceOp op = ReduceOp.Sum) => ProcessGroups.AllReduce(tensor, op);

        /// <summary>Copies one rank's tensor into the tensors of all other ranks, as <c>torch.distributed.broadcast</c>.</summary>
        /// <param name="tensor">Of any dtype, and one shape on all ranks.</param>
        /// <param name="src">The rank whose values are copied.</param>
        /// <exception cref="ArgumentException">No such rank, a sparse tensor, or a tensor inside the autograd graph.</exception>
        /// <exception cref="InvalidOperationException">As for <see cref="all_reduce"/>.</exception>
        public static void broadcast(Tensor tensor, int src) => ProcessGroups.Broadcast(tensor, src);

        /// <summary>Copies the tensors of all ranks into a list, as <c>torch.distributed.all_gather</c>.</summary>
        /// <param name="tensor_list">One tensor for each rank, of the shape and dtype of <paramref name="tensor"/>; changed in place.</param>
        /// <param name="tensor">Of any dtype, and one shape on all ranks.</param>
        /// <exception cref="ArgumentException">Another number of tensors, other shapes or dtypes, or a sparse tensor.</exception>
        /// <exception cref="InvalidOperationException">As for <see cref="all_reduce"/>.</exception>
        public static void all_gather(IList<Tensor> tensor_list, Tensor tensor) => ProcessGroups.AllGather(tensor_list, tensor);

        /// <summary>Returns the tensors of all ranks as new tensors.</summary>
        /// <returns>One tensor for each rank, in the order of the ranks.</returns>
        /// <inheritdoc cref="all_gather(IList{Tensor}, Tensor)"/>
        public static Tensor[] all_gather(Tensor tensor) => ProcessGroups.AllGather(tensor);

        /// <summary>Waits until all ranks have called it.</summary>
        /// <exception cref="InvalidOperationException">As for <see cref="all_reduce"/>.</exception>
        public static void barrier() => ProcessGroups.Required.Barrier();

        /// <summary>
        /// Leaves the group together with all ranks: the last call of a successful run. Do not call it in a <c>finally</c> block: mpirun ends the other
        /// ranks only if a process ends without this call. MPI cannot be started again in the same process.
        /// </summary>
        /// <exception cref="InvalidOperationException">No group, or another rank makes another call.</exception>
        public static void destroy_process_group() => ProcessGroups.Destroy();
    }
}
