using System.Globalization;
using TorchStab.Amp;
using TorchStab.Clipping;
using TorchStab.Optimization;
using static TorchSharp.torch;
using static TorchSharp.torch.optim;

namespace TorchStab;

/// <summary>
/// Prevents small float16 gradients from becoming zero: multiplies the loss by a scale s, and the gradients by 1/s before they are used. A step with
/// a non-finite gradient is skipped, and s ← s·backoff_factor; after growth_interval steps without one, s ← s·growth_factor. Created by
/// <c>stab.amp.GradScaler</c>.
/// </summary>
/// <remarks>
/// TorchStab's optimizers multiply by 1/s in the pass that clips; thresholds and <see cref="StepReport.GradNorm"/> refer to unscaled gradients.
/// Gradients of other optimizers are unscaled in place. Source: <c>torch.amp.GradScaler</c>.
/// </remarks>
public sealed class GradScaler
{
    private readonly Dictionary<Optimizer, Progress> _optimizers = new(ReferenceEqualityComparer.Instance);
    private readonly bool _enabled;
    private DynamicScale _scale;
    private bool _waits;

    internal GradScaler(double init_scale, double growth_factor, double backoff_factor, long growth_interval, bool enabled)
    {
        _enabled = enabled;
        _scale = new DynamicScale((float)init_scale, growth_factor, backoff_factor, growth_interval, Tracker: 0).Checked(argument: null);
    }

    private enum Stage
    {
        Ready,
        Unscaled,
        Stepped,
    }

    /// <summary>Multiplies a loss by the scale: y = s·x. Call <c>backward()</c> on the result.</summary>
    /// <param name="loss">Any shape, a floating dtype. A half-precision scalar gives a float32 product, which may exceed float16's range.</param>
    /// <returns>A new, differentiable tensor; <paramref name="loss"/> itself if the scaler is not enabled.</returns>
    /// <exception cref="ArgumentException"><paramref name="loss"/> is null or not of a floating dtype.</exception>
    public Tensor scale(Tensor loss)
    {
        ArgumentNullException.ThrowIfNull(loss);
        if (!_enabled) return loss;
        if (!loss.is_floating_point()) throw new ArgumentException($"expected a loss of a floating dtype, got {loss.dtype}", nameof(loss));
        using var factor = tensor(_scale.Value, ScalarType.Float32, loss.device);
        return loss * factor;
    }

    /// <summary>
    /// Divides the optimizer's gradients by the scale in place, g ← g/s, so that you can read or clip them before <see cref="step"/>. Call it at most
    /// once for each step, after all of its backward passes.
    /// </summary>
    /// <param name="optimizer">Any optimizer.</param>
    /// <exception cref="InvalidOperationException">
    /// It is called twice, or after <see cref="step"/>, without <see cref="update"/>, or inside a window of <c>accumulate</c>; or a gradient is sparse,
    /// does not fit its parameter, or cannot be written. No gradient is changed then.
    /// </exception>
    public void unscale_(Optimizer optimizer)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        if (!_enabled) return;
        var progress = Of(optimizer);
        if (progress.Stage == Stage.Unscaled)
            throw new InvalidOperationException("unscale_() has already been called on this optimizer since the last update().");
        if (progress.Stage == Stage.Stepped) throw new InvalidOperationException("unscale_() is being called after step().");
        if (optimizer is IScaledStep { IsDue: false })
            throw new InvalidOperationException("unscale_() inside a window of accumulate(): gradients of more passes are still to be added. Call it before "
                + "the step that completes the window.");
        Unscale(optimizer, progress);
    }

    /// <summary>Steps the optimizer with unscaled gradients; skips the step if a gradient is not finite.</summary>
    /// <param name="optimizer">Any optimizer except LBFGS, which needs a closure.</param>
    /// <exception cref="InvalidOperationException">
    /// It is called twice without <see cref="update"/>; there is no gradient; the scale changed inside a window of <c>accumulate</c>; the optimizer's
    /// step throws; or a gradient is not finite at the smallest scale (1.2e-38): then the model or its data is the cause; the message names the parameter.
    /// </exception>
    /// <exception cref="ArgumentException"><paramref name="optimizer"/> is null or LBFGS.</exception>
    public void step(Optimizer optimizer)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        if (!_enabled)
        {
            optimizer.step();
            return;
        }
        if (optimizer is TorchSharp.Modules.LBFGS or Modules.ClippedOptimizer { StepsByClosure: true })
            throw new ArgumentException("Closure use is not currently supported if GradScaler is enabled: LBFGS cannot be stepped without one",
                nameof(optimizer));
        var progress = Of(optimizer);
        if (progress.Stage == Stage.Stepped) throw new InvalidOperationException("step() has already been called since the last update().");
        if (!(optimizer is IScaledStep own ? StepOwn(own, progress) : StepOther(optimizer, progress))) return;
        progress.Stage = Stage.Stepped;
        if (progress.FoundInf == true && _scale.IsSmallest)
            throw new InvalidOperationException($"the gradient of {progress.Name} holds NaN or an infinity at the smallest loss scale, "
                + string.Create(CultureInfo.InvariantCulture, $"{_scale.Value}: the model or its data is at fault, not the scale. Nothing was changed; ")
                + "find the cause with torch.autograd.detect_anomaly.");
    }

    /// <summary>
    /// Adjusts the scale for the next iteration: s ← s·backoff_factor if a step since the last call had a non-finite gradient, s ← s·growth_factor after
    /// growth_interval calls without one. Call it once in each iteration, after all steps.
    /// </summary>
    /// <param name="new_scale">The new scale, above 0; null (the default): adjusts the scale by the rule.</param>
    /// <exception cref="InvalidOperationException">"No inf checks were recorded prior to update.": there was no step and no <see cref="unscale_"/>.</exception>
    /// <exception cref="ArgumentException"><paramref name="new_scale"/> is not a positive float32 number of at least 1.2e-38.</exception>
    public void update(double? new_scale = null)
    {
        if (!_enabled) return;
        if (new_scale is { } given) _scale = (_scale with { Value = (float)given }).Checked(nameof(new_scale));
        else if (_optimizers.Values.Any(p => p.FoundInf is not null)) _scale = _scale.After(_optimizers.Values.Any(p => p.FoundInf == true));
        else if (!_waits)
            throw new InvalidOperationException("No inf checks were recorded prior to update. Call step() or unscale_() of an optimizer with gradients first.");
        _optimizers.Clear();
        _waits = false;
    }

    /// <summary>The scale s.</summary>
    /// <returns>The scale; 1 if the scaler is not enabled.</returns>
    /// <exception cref="InvalidOperationException">Never.</exception>
    public double get_scale() => _enabled ? _scale.Value : 1;

    /// <summary>Whether the scaler is enabled.</summary>
    /// <returns>The value given to the constructor.</returns>
    /// <exception cref="InvalidOperationException">Never.</exception>
    public bool is_enabled() => _enabled;

    /// <summary>The state from which a scaler continues: its scale, its factors, and the number of steps since the scale last changed.</summary>
    /// <returns>PyTorch's keys: scale, growth_factor, backoff_factor, growth_interval, _growth_tracker. Empty if not enabled.</returns>
    /// <exception cref="InvalidOperationException">Never.</exception>
    public IReadOnlyDictionary<string, double> state_dict() => _enabled ? _scale.Save() : new Dictionary<string, double>();

    /// <summary>Restores the state that <see cref="state_dict"/> returned. Does nothing if the scaler is not enabled.</summary>
    /// <param name="state_dict">A state with all of its keys.</param>
    /// <exception cref="InvalidOperationException">The state is empty: it comes from a scaler that was not enabled.</exception>
    /// <exception cref="ArgumentException">A key is missing or unexpected, or a value is outside its range. Nothing is changed then.</exception>
    public void load_state_dict(IReadOnlyDictionary<string, double> state_dict)
    {
        ArgumentNullException.ThrowIfNull(state_dict);
        if (!_enabled) return;
        if (state_dict.Count == 0)
            throw new InvalidOperationException("The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler.");
        _scale = DynamicScale.Load(state_dict, nameof(state_dict));
    }

    // Returns false if the step only counted a pass of a window.
    private bool StepOwn(IScaledStep optimizer, Progress progress)
    {
        if (optimizer.Step(new(_scale.Value, progress.Stage == Stage.Unscaled)) is not { } finite)
        {
            _waits = true;
            return false;
        }
        progress.FoundInf = progress.FoundInf == true || !finite;
        progress.Name = ((IClippedStep)optimizer).LastStep.FirstNonFinite ?? progress.Name;
        return true;
    }

    private bool StepOther(Optimizer optimizer, Progress progress)
    {
        if (progress.Stage == Stage.Ready) Unscale(optimizer, progress);
        if (progress.FoundInf is null) throw StepGuard.NothingChecked();
        if (progress.FoundInf == false) optimizer.step();
        return true;
    }

    private void Unscale(Optimizer optimizer, Progress progress)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        List<TorchSharp.Modules.Parameter> parameters = [.. optimizer.parameters()];
        SharedGradients.Combine(parameters);
        using var gradients = GradientSet.Of(parameters, 1.0 / _scale.Value);
        var unscaled = ClipDecision.Uniform(0, 1);
        gradients.RequireWritable(unscaled);
        int bad = gradients.FirstNonFinite(2);
        gradients.Apply(unscaled);
        progress.Stage = Stage.Unscaled;
        if (gradients.Count > 0) progress.FoundInf = bad >= 0;
        if (bad >= 0) progress.Name = gradients.Name(bad) ?? $"parameter {gradients.ParameterIndex(bad)}";
    }

    private Progress Of(Optimizer optimizer) => _optimizers.TryGetValue(optimizer, out var known) ? known : _optimizers[optimizer] = new();

    /// <summary>The state of an optimizer since the last <see cref="update"/>.</summary>
    private sealed class Progress
    {
        public Stage Stage { get; set; }

        public bool? FoundInf { get; set; } // whether a gradient was not finite; null: not checked yet

        public string? Name { get; set; } // of the first parameter whose gradient was not finite
    }
}
