using TorchStab.Dispatch;
using TorchStab.Distributed;
using static TorchSharp.torch;

namespace TorchStab;

public static partial class stab
{
    /// <summary>
    /// Several processes that train one model, by the words of <c>torch.distributed</c>. The engine is MPI: start the program with Open MPI's
    /// <c>mpirun -n 4 dotnet program.dll</c>. Without mpirun it is a world of one rank.
    /// </summary>
    /// <remarks>
    /// All ranks make the same calls in the same order; before each, they compare what they are about to do, so that a rank that has come
    /// apart is an error on all of them. A rank may call from any of its threads, one at a time.
    /// </remarks>
    public static class distributed
    {
        /// <summary>Whether Open MPI's libmpi can be loaded. A single process works without.</summary>
        /// <returns>False where it is missing or another MPI's.</returns>
        /// <exception cref="InvalidOperationException">Never: what is wrong is said by <see cref="init_process_group()"/>.</exception>
        public static bool is_available() => MpiLibrary.Problem is null;

        /// <summary>Whether <see cref="init_process_group()"/> was called.</summary>
        /// <returns>False after <see cref="destroy_process_group"/> again.</returns>
        /// <exception cref="InvalidOperationException">Never.</exception>
        public static bool is_initialized() => ProcessGroups.Current is not null;

        /// <summary>
        /// Joins the ranks that mpirun started. libmpi (Open MPI 4 or 5) is loaded by name; the environment variable TORCHSTAB_MPI names another file.
        /// From here on an exception that nobody catches ends all ranks, with its text.
        /// </summary>
        /// <remarks>A rank waits for the others for 30 minutes at most, as PyTorch's; then it ends the job.</remarks>
        /// <exception cref="InvalidOperationException">
        /// Called twice ("trying to initialize the default process group twice!"); or started by mpirun, and libmpi is missing or not Open MPI's: the
        /// message says what to install.
        /// </exception>
        public static void init_process_group() => ProcessGroups.Initialize(ProcessGroups.DefaultTimeout);

        /// <inheritdoc cref="init_process_group()"/>
        /// <param name="timeout">How long a rank may wait for the others before it ends the job.</param>
        /// <exception cref="ArgumentException"><paramref name="timeout"/> is not above 0, or 49 days and more.</exception>
        public static void init_process_group(TimeSpan timeout) => ProcessGroups.Initialize(timeout);

        /// <summary>The same over another engine.</summary>
        /// <param name="collective">Belongs to the group from here on, which disposes it.</param>
        /// <exception cref="InvalidOperationException">Called twice ("trying to initialize the default process group twice!").</exception>
        public static void init_process_group(ICollective collective) => ProcessGroups.Initialize(collective);

        /// <summary>This process's number, from 0.</summary>
        /// <returns>0 without mpirun.</returns>
        /// <exception cref="InvalidOperationException">"Default process group has not been initialized, please make sure to call init_process_group."</exception>
        public static int get_rank() => ProcessGroups.Required.Rank;

        /// <summary>How many ranks there are.</summary>
        /// <inheritdoc cref="get_rank"/>
        public static int get_world_size() => ProcessGroups.Required.WorldSize;

        /// <summary>
        /// Combines all ranks' tensors, in place: every rank gets the same bits.
        /// </summary>
        /// <param name="tensor">Of one shape and dtype on all ranks: float32, float64, int64, int32; bfloat16 and float16 are combined in float32.</param>
        /// <param name="op">How; default Sum.</param>
        /// <exception cref="ArgumentException">Another dtype, a sparse tensor, one inside the autograd graph, or the mean of integers.</exception>
        /// <exception cref="InvalidOperationException">No group, or another rank makes another call: raised on all ranks, and says which.</exception>
        public static void all_reduce(Tensor tensor, ReduceOp op = ReduceOp.Sum) => ProcessGroups.AllReduce(tensor, op);

        /// <summary>Copies one rank's tensor into all others', in place.</summary>
        /// <param name="tensor">Of any dtype, and one shape on all ranks.</param>
        /// <param name="src">The rank whose values all get.</param>
        /// <exception cref="ArgumentException">No such rank, a sparse tensor, or one inside the autograd graph.</exception>
        /// <exception cref="InvalidOperationException">As for <see cref="all_reduce"/>.</exception>
        public static void broadcast(Tensor tensor, int src) => ProcessGroups.Broadcast(tensor, src);

        /// <summary>Fills a list with all ranks' tensors.</summary>
        /// <param name="tensor_list">One tensor for each rank, shaped as <paramref name="tensor"/>; changed in place.</param>
        /// <param name="tensor">Of any dtype, and one shape on all ranks.</param>
        /// <exception cref="ArgumentException">Another number of tensors, other shapes or dtypes, or a sparse tensor.</exception>
        /// <exception cref="InvalidOperationException">As for <see cref="all_reduce"/>.</exception>
        public static void all_gather(IList<Tensor> tensor_list, Tensor tensor) => ProcessGroups.AllGather(tensor_list, tensor);

        /// <summary>All ranks' tensors, by rank, as new tensors.</summary>
        /// <returns>One tensor for each rank.</returns>
        /// <inheritdoc cref="all_gather(IList{Tensor}, Tensor)"/>
        public static Tensor[] all_gather(Tensor tensor) => ProcessGroups.AllGather(tensor);

        /// <summary>Waits until every rank is here.</summary>
        /// <exception cref="InvalidOperationException">As for <see cref="all_reduce"/>.</exception>
        public static void barrier() => ProcessGroups.Required.Barrier();

        /// <summary>
        /// Leaves the group, together with all ranks: the last call of a run that went well. Not for a <c>finally</c>: a process that ends without it
        /// is what tells mpirun to end the others. MPI cannot be started again in the same process.
        /// </summary>
        /// <exception cref="InvalidOperationException">No group, or other ranks still work.</exception>
        public static void destroy_process_group() => ProcessGroups.Destroy();
    }
}
