using static TorchSharp.torch;

namespace TorchStab.Dispatch;

/// <summary>Handles of the tensors of several parameters of one device and dtype; a state that the optimizer lacks has an empty list.</summary>
/// <param name="Parameters">The parameters.</param>
/// <param name="Gradients">Their gradients.</param>
/// <param name="State0">The first moments.</param>
/// <param name="State1">The second moments.</param>
/// <param name="State2">The third moments.</param>
/// <param name="Age">The number of this update, counted from 1, in a float32 tensor.</param>
/// <param name="IsFirst">Whether it is the first.</param>
/// <param name="Masters">Float32 copies of parameters in half precision, which are updated in their place; empty if there are none.</param>
/// <param name="Numbers">Numbers as tensors of the dtype of the arithmetic on the device.</param>
internal readonly record struct FusedTensors(nint[] Parameters, nint[] Gradients, nint[] State0, nint[] State1, nint[] State2, nint[] Masters, nint Age,
    bool IsFirst, StepNumbers Numbers);

/// <summary>An update rule in libtorch's operations on lists of tensors, with its numbers.</summary>
internal abstract record FusedUpdate
{
    private const double Tolerance = 1e-5, HalfTolerance = 1e-3;

    /// <summary>The kinds of devices on which each rule was tried.</summary>
    private static readonly Dictionary<(Type Rule, TorchSharp.DeviceType Kind), bool> Tried = [];

    /// <summary>Whether <see cref="Run"/> makes temporary tensors, so that it is called for a part of the parameters at a time.</summary>
    public virtual bool HasTemporaries => false;

    /// <summary>λ of an L2 penalty that the gradients must contain already; 0 where the operation adds it.</summary>
    public virtual double Penalty => 0;

    /// <summary>Whether the gradients must have the reversed sign already.</summary>
    public virtual bool Reverses => false;

    /// <summary>The number of an update as the operation must be given it.</summary>
    public virtual float AgeOf(long updates) => updates;

    /// <summary>Updates what needs no temporary tensors; called first, for all parameters at once where their gradients are not copied.</summary>
    public virtual void Begin(in FusedTensors tensors) { }

    /// <summary>Updates the parameters.</summary>
    public abstract void Run(in FusedTensors tensors);

    /// <summary>An update with numbers for the trial.</summary>
    protected abstract FusedUpdate Trial { get; }

    /// <summary>The parameter and the moments after the trial's first update of p = 0.5 by g = 0.25 with moments of zero, by the equation.</summary>
    protected abstract double[] Expected { get; }

    /// <summary>
    /// Whether libtorch's operation can be used on a kind of device: it is called once on tiny tensors and must give the numbers of the equation. An operation
    /// that libtorch lacks or refuses prints its message once.
    /// </summary>
    public bool Works(Device device)
    {
        lock (Tried)
        {
            var key = (GetType(), device.type);
            if (!Tried.TryGetValue(key, out bool works)) Tried.Add(key, works = Try(device));
            return works;
        }
    }

    private bool Try(Device device)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        try
        {
            // As parameters in half precision are updated: on copies in float32.
            Tensor p = full([2], 0.5, ScalarType.Float16, device), g = full([2], 0.25, ScalarType.Float16, device);
            var age = tensor(Trial.AgeOf(1), device: device);
            using var numbers = new StepNumbers(ScalarType.Float32, device);
            List<Tensor> moments = [.. Expected.Skip(1).Select(_ => zeros(2, ScalarType.Float32, device))];
            nint[] At(int k) => k < moments.Count ? [moments[k].Handle] : [];
            var copies = TemporaryTensors.Copies([p.Handle, g.Handle], numbers);
            var tensors = new FusedTensors(copies.Each[..1], copies.Each[1..], At(0), At(1), At(2), [], age.Handle, false, numbers);
            Trial.Begin(tensors);
            Trial.Run(tensors);
            Foreach.Copy([p.Handle], copies.Each[..1]);
            double[] actual = DeviceNumbers.Read([copies.All![1], .. moments.Select(m => m[1])]);
            return actual.Zip(Expected).All(pair => Math.Abs(pair.First - pair.Second) < Tolerance)
                && Math.Abs(DeviceNumbers.Read([p[1]])[0] - Expected[0]) < HalfTolerance;
        }
        catch (Exception)
        {
            return false;
        }
    }
}

/// <summary>Adam or, with decoupled decay, AdamW: <c>_fused_adam_</c>, <c>_fused_adamw_</c>.</summary>
/// <param name="Decoupled">Whether the weight decays apart from the gradient.</param>
/// <param name="LearningRate">η.</param>
/// <param name="Beta1">β₁.</param>
/// <param name="Beta2">β₂.</param>
/// <param name="Eps">ε.</param>
/// <param name="Decay">λ.</param>
/// <param name="Amsgrad">Whether there is a third moment, the largest second moment.</param>
/// <param name="Maximize">Whether to maximize the loss.</param>
internal sealed record FusedAdam(bool Decoupled, double LearningRate, double Beta1, double Beta2, double Eps, double Decay, bool Amsgrad, bool Maximize)
    : FusedUpdate
{
    /// <inheritdoc/>
    protected override FusedUpdate Trial => new FusedAdam(Decoupled, 0.5, 0.5, 0.75, 0.25, 0.5, false, false);

    /// <inheritdoc/>
    protected override double[] Expected =>
        [Decoupled ? 0.375 - (0.5 * 0.25 / 0.5) : 0.5 - (0.5 * 0.5 / 0.75), Decoupled ? 0.125 : 0.25, Decoupled ? 0.015625 : 0.0625];

    /// <inheritdoc/>
    public override void Run(in FusedTensors t)
    {
        var call = new NativeCall();
        call.Add(t.Parameters);
        call.Add(t.Gradients);
        call.Add(t.State0);
        call.Add(t.State1);
        call.Add(Amsgrad ? t.State2 : []);
        call.Add(Enumerable.Repeat(t.Age, t.Parameters.Length).ToArray());
        call.Add(LearningRate);
        call.Add(Beta1);
        call.Add(Beta2);
        call.Add(Decay);
        call.Add(Eps);
        call.Add(Amsgrad);
        call.Add(Maximize);
        call.AddOptional(0);
        call.AddOptional(0);
        if (Decoupled) call.Run("aten::_fused_adamw_\0"u8);
        else call.Run("aten::_fused_adam_\0"u8);
    }
}

/// <summary>SGD: <c>_fused_sgd_</c>.</summary>
/// <param name="LearningRate">η.</param>
/// <param name="Momentum">μ.</param>
/// <param name="Dampening">τ.</param>
/// <param name="Decay">λ.</param>
/// <param name="Nesterov">Whether to look ahead.</param>
/// <param name="Maximize">Whether to maximize the loss.</param>
internal sealed record FusedSGD(double LearningRate, double Momentum, double Dampening, double Decay, bool Nesterov, bool Maximize) : FusedUpdate
{
    /// <inheritdoc/>
    protected override FusedUpdate Trial => new FusedSGD(0.5, 0.5, 0.25, 0.5, true, false);

    /// <inheritdoc/>
    protected override double[] Expected => [0.5 - (0.5 * (0.5 + (0.5 * 0.375))), 0.375];

    /// <inheritdoc/>
    public override void Run(in FusedTensors t)
    {
        var call = new NativeCall();
        call.Add(t.Parameters);
        call.Add(t.Gradients);
        call.Add(Momentum != 0 ? t.State0 : []);
        call.Add(Decay);
        call.Add(Momentum);
        call.Add(LearningRate);
        call.Add(Dampening);
        call.Add(Nesterov);
        call.Add(Maximize);
        call.Add(t.IsFirst); // then the gradients become the momentum buffers
        call.AddOptional(0);
        call.AddOptional(0);
        call.Run("aten::_fused_sgd_\0"u8);
    }
}
