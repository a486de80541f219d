using TorchStab.Averaging;
using TorchStab.Dispatch;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Modules;

/// <summary>
/// The running average of a model's weights: average ← average + w·(weight − average) at each update, where an <see cref="AveragingRule"/> gives w. The first
/// update copies the weights. The counterpart of <c>torch.optim.swa_utils.AveragedModel</c>, with its state-dict keys <c>n_averaged</c> and <c>module.*</c>.
/// </summary>
/// <example><code>
/// using var average = stab.optim.swa_utils.AveragedModel(model, stab.optim.swa_utils.get_ema_multi_avg_fn(0.999));
/// …
/// optimizer.step();
/// average.update_parameters(model, optimizer);   // does nothing if the step was skipped
/// …
/// using (average.Apply()) Validate(model);       // uses the averages; afterwards the model has its own weights again
/// </code></example>
/// <remarks>
/// <para>Polyak and Juditsky 1992; Izmailov et al. 2018 (arXiv 1803.05407). TorchSharp cannot copy a module, so this object has the averaged tensors by name,
/// but no module. To run the model with the averages use
/// <see cref="Apply"/> or <see cref="CopyTo"/>.</para>
/// <para>Averages of float16 and bfloat16 weights are float32, because in the half-precision dtype a change by 1e-3 of the difference is rounded to zero. If
/// the model moves to another device
/// or dtype, the averages follow at the next update. They are averages of the model's own weights, also where an optimizer has float32 masters of them
/// (<c>master_weights: true</c>): each weight that enters is rounded by at most half a unit of the half-precision dtype. Under
/// <c>DistributedDataParallel</c> every rank has the same weights, and so the same averages.</para>
/// </remarks>
public sealed partial class AveragedModel : nn.Module
{
    private const string Prefix = "module.";
    private readonly nn.Module _model;
    private readonly AveragingRule _rule;
    private readonly Tensor _count;
    private readonly List<AveragedTensor> _tensors;
    private bool _applied;

    internal AveragedModel(nn.Module model, AveragingRule? avg_fn, bool use_buffers)
        : base(nameof(AveragedModel))
    {
        ArgumentNullException.ThrowIfNull(model);
        (_model, _rule, this.use_buffers) = (model, avg_fn ?? AveragingRule.Mean(), use_buffers);
        _tensors = [.. model.state_dict().Select(entry => new AveragedTensor(entry.Key, entry.Value))];
        _count = zeros([], ScalarType.Int64, CPU).DetachFromDisposeScope();
    }

    /// <summary>
    /// Whether floating-point buffers (running statistics) are averaged too; otherwise they are copied from the model at each update. Integer buffers are
    /// always copied.
    /// </summary>
    public bool use_buffers { get; }

    /// <summary>The number of models that the average holds: updates so far.</summary>
    public long n_averaged => _count.item<long>();

    /// <summary>Updates the averages with the model's weights.</summary>
    /// <param name="model">A model with the same tensor names and shapes as the one given to the constructor.</param>
    /// <exception cref="ArgumentNullException"><paramref name="model"/> is null.</exception>
    /// <exception cref="ArgumentException">A tensor is missing or has another shape; the message names it.</exception>
    /// <exception cref="InvalidOperationException">
    /// The model has the averages at present (<see cref="Apply"/>), or the rule's weight is not from 0 to 1.
    /// </exception>
    public void update_parameters(nn.Module model)
    {
        var values = Match(model);
        if (_applied) throw new InvalidOperationException("the averages are in the model: dispose what Apply() returned before the next update");
        long n = n_averaged;
        double weight = n == 0 ? 1 : _rule.WeightAfter(n);
        using var _ = no_grad();
        var launch = AverageLaunch.Start();
        foreach (var (tensor, value) in _tensors.Zip(values))
        {
            if (n > 0 && tensor.Averages(use_buffers)) tensor.Update(value, weight, launch);
            else tensor.Copy(value);
        }
        launch.Run();
        GC.KeepAlive(values);
        _count.fill_(Held(n + 1));
    }

    /// <summary>Updates the averages unless the optimizer's last step was skipped, so that unchanged weights do not count twice.</summary>
    /// <param name="model">The model.</param>
    /// <param name="optimizer">The optimizer of <c>stab.optim</c> that has just stepped.</param>
    /// <returns>Whether the averages were updated.</returns>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    /// <exception cref="ArgumentException">As for <see cref="update_parameters(nn.Module)"/>.</exception>
    /// <exception cref="InvalidOperationException">As for <see cref="update_parameters(nn.Module)"/>.</exception>
    public bool update_parameters(nn.Module model, IClippedStep optimizer)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        if (optimizer.LastStep.Skipped) return false;
        update_parameters(model);
        return true;
    }

    /// <summary>
    /// Copies the averages of parameters and buffers into the model given to the constructor. Disposing the returned object restores the model's own
    /// values exactly. Do not train before that.
    /// </summary>
    /// <returns>An object that restores the weights when it is disposed.</returns>
    /// <exception cref="InvalidOperationException">There is no update yet, the model has the averages already, or the model cannot be written.</exception>
    /// <exception cref="ArgumentException">As for <see cref="update_parameters(nn.Module)"/>.</exception>
    public IDisposable Apply()
    {
        RequireUpdates();
        if (_applied) throw new InvalidOperationException("the averages are in the model already: dispose what Apply() returned first");
        var values = Match(_model);
        var exchange = new WeightExchange(this, values);
        exchange.Write(_tensors.ConvertAll(t => t.Average));
        _applied = true;
        return exchange;
    }

    /// <summary>
    /// Copies the averages into a model: parameters and buffers ← averages. If it has BatchNorms, call <c>stab.nn.utils.update_bn</c> afterwards.
    /// </summary>
    /// <param name="model">Any model with the same tensors.</param>
    /// <exception cref="ArgumentNullException"><paramref name="model"/> is null.</exception>
    /// <exception cref="ArgumentException">
    /// As for <see cref="update_parameters(nn.Module)"/>; or a tensor of the model cannot be written. Nothing is changed then.
    /// </exception>
    /// <exception cref="InvalidOperationException">There is no update yet, or the model has the averages by <see cref="Apply"/>.</exception>
    public void CopyTo(nn.Module model)
    {
        var values = Match(model);
        RequireUpdates();
        if (_applied && ReferenceEquals(model, _model))
            throw new InvalidOperationException("the averages are in the model: dispose what Apply() returned before CopyTo()");
        using var _ = no_grad();
        foreach (var (tensor, value) in _tensors.Zip(values)) Writable.Require(value, tensor.Key); // before the first copy
        foreach (var (tensor, value) in _tensors.Zip(values)) value.copy_(tensor.Average);
    }

    /// <summary>Checks the model's tensors and returns them in the order of the averages.</summary>
    private List<Tensor> Match(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var state = model.state_dict();
        return _tensors.ConvertAll(tensor =>
        {
            if (!state.TryGetValue(tensor.Key, out var value))
                throw new ArgumentException($"expected the model whose weights are averaged, got one without '{tensor.Key}'", nameof(model));
            if (!TensorShape.Same(value, tensor.Average))
                throw new ArgumentException($"expected shape {Repr.Size(tensor.Average)} for '{tensor.Key}', got {Repr.Size(value)}", nameof(model));
            return value;
        });
    }

    private void RequireUpdates()
    {
        if (n_averaged == 0) throw new InvalidOperationException("there is no average yet: call update_parameters(model) after each step");
    }

    /// <summary>The model's own weights while the model has the averages.</summary>
    private sealed class WeightExchange(AveragedModel owner, List<Tensor> values) : IDisposable
    {
        private readonly List<Tensor> _kept = Copies(values);
        private bool _done;

        /// <summary>Writes all of the model's tensors, or none if one cannot be written.</summary>
        public void Write(List<Tensor> averages)
        {
            using var _ = no_grad();
            int written = 0;
            try
            {
                for (; written < values.Count; written++) values[written].copy_(averages[written]);
            }
            catch (System.Runtime.InteropServices.ExternalException refusal)
            {
                for (int i = 0; i < written; i++) values[i].copy_(_kept[i]);
                _kept.ForEach(k => k.Dispose());
                throw new InvalidOperationException($"'{owner._tensors[written].Key}' can't be written: {AutogradLibrary.WithoutTrace(refusal.Message)}",
                    refusal);
            }
        }

        public void Dispose()
        {
            if (_done) return;
            var now = owner.Match(owner._model); // before anything is given up: it refuses a model that no longer fits
            (_done, owner._applied) = (true, false);
            using var _ = no_grad();
            // If the model was moved since Apply(), it has other tensors under the same names.
            foreach (var (value, kept) in now.Zip(_kept)) value.copy_(kept);
            _kept.ForEach(k => k.Dispose());
        }

        private static List<Tensor> Copies(List<Tensor> values)
        {
            using var _ = no_grad();
            return values.ConvertAll(v => v.clone().DetachFromDisposeScope());
        }
    }
}
