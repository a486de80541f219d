using TorchStab.Dispatch;
using TorchStab.Optimization;
using static TorchSharp.torch;

namespace TorchStab.Modules;

public abstract partial class MomentState
{
    /// <summary>
    /// The float32 copy of a float16 or bfloat16 parameter, on which updates are computed; null without <c>master_weights</c>, and for other parameters. After
    /// each step the parameter is this copy, rounded. An element of the parameter that differs was written by somebody else, and replaces the copy's element.
    /// </summary>
    public Tensor? master_param;

    /// <summary>Creates the master copy if the options want it and the parameter has half precision; otherwise frees it. Called before each update.</summary>
    internal void UseMaster(ClipOptions options)
    {
        if (options.master_weights == true)
        {
            if (master_param is null && MomentStorage.IsHalf(Owner)) master_param = MasterOf(Owner);
        }
        else if (master_param is not null) master_param = Freed(master_param);
    }

    /// <summary>The memory of the master copy for the kernels of this step.</summary>
    internal TensorView MasterView() => _views[Table.Moments.Length].Of(master_param);

    /// <summary>The master copy with the elements that were written into the parameter since the last update; null if there is no copy.</summary>
    internal Tensor? CurrentMaster() =>
        master_param is null ? null : where(master_param.to(Owner.dtype) == Owner, master_param, Owner.to(ScalarType.Float32));

    /// <summary>Writes the master copy, if there is one.</summary>
    internal void SaveMaster(BinaryWriter writer)
    {
        using var contiguous = master_param?.contiguous();
        SaveConditionalStateTensor(writer, contiguous);
    }

    /// <summary>Reads a master copy; skips it if this state needs none.</summary>
    internal void LoadMaster(BinaryReader reader)
    {
        if (!TensorFile.ReadFlag(reader)) return;
        if (master_param is null)
        {
            TensorFile.SkipElements(reader, TensorFile.ReadHeader(reader, "a master copy"));
            return;
        }
        var read = Read(reader, () => MasterOf(Owner), ScalarType.Float32);
        master_param.Dispose();
        master_param = read;
    }

    private Tensor MasterOf(Tensor source) => MomentStorage.Copy(source, Owner, ScalarType.Float32);
}
