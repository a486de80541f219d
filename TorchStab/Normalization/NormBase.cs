using TorchSharp.Utils;
using TorchStab.Normalization;
using static TorchSharp.torch;
using static TorchStab.Scalars;

namespace TorchStab.Modules;

/// <summary>
/// Base of batch and instance normalization: weight and bias of shape (num_features), and running statistics under PyTorch's
/// state-dict keys. <see cref="num_batches_tracked"/> is int64 whatever the dtype of the other tensors.
/// </summary>
public abstract class NormBase : AffineModule
{
    [ComponentName(Name = nameof(running_mean))]
    private Tensor? _running_mean;

    [ComponentName(Name = nameof(running_var))]
    private Tensor? _running_var;

    [ComponentName(Name = nameof(num_batches_tracked))]
    private Tensor? _num_batches_tracked;

    private bool _frozen;
    private bool _train = true;

    private protected NormBase(string name, NormSpec spec) : base(name)
    {
        (num_features, eps, momentum, affine, track_running_stats) = (spec.Features, spec.Eps, spec.Momentum, spec.Affine, spec.Track);
        RequireSize(num_features);
        if (affine)
        {
            weight = ParameterFactory.Ones([num_features], spec.Dtype, spec.Device, nameof(num_features));
            bias = ParameterFactory.Zeros([num_features], spec.Dtype, spec.Device, nameof(num_features));
        }
        if (!track_running_stats) return;
        ParameterFactory.Require([num_features], spec.Dtype, nameof(num_features));
        running_mean = zeros(num_features, spec.Dtype, spec.Device);
        running_var = ones(num_features, spec.Dtype, spec.Device);
        num_batches_tracked = zeros([], ScalarType.Int64, spec.Device);
    }

    /// <summary>C, the number of channels (the size of dimension 1).</summary>
    public long num_features { get; }

    /// <summary>Added to the variance, so that a constant channel does not cause a division by 0.</summary>
    public double eps { get; set; }

    /// <summary>The weight of a new batch in the running statistics; null gives each batch the same weight (cumulative average).</summary>
    public double? momentum { get; set; }

    /// <summary>Whether the module was made with <c>weight</c> and <c>bias</c>.</summary>
    public bool affine { get; }

    /// <summary>Whether training updates the running statistics.</summary>
    public bool track_running_stats { get; set; }

    /// <summary>The running mean, of shape (C); null if statistics are not tracked. Setting it gives the module ownership.</summary>
    public Tensor? running_mean
    {
        get => _running_mean;
        set => SetBuffer(ref _running_mean, value);
    }

    /// <summary>The running unbiased variance, of shape (C); null if statistics are not tracked. Setting it gives the module ownership.</summary>
    public Tensor? running_var
    {
        get => _running_var;
        set => SetBuffer(ref _running_var, value);
    }

    /// <summary>The number of batches in the running statistics: an int64 scalar; null if statistics are not tracked.</summary>
    public Tensor? num_batches_tracked
    {
        get => _num_batches_tracked;
        set => SetBuffer(ref _num_batches_tracked, value);
    }

    /// <summary>
    /// Whether the module is frozen: <c>train()</c> then leaves it in eval mode. When it is unfrozen, it takes the mode that was requested last.
    /// </summary>
    internal bool Frozen
    {
        get => _frozen;
        set
        {
            _frozen = value;
            train(_train);
        }
    }

    /// <summary>Sets training or eval mode. A frozen norm remains in eval mode until it is unfrozen.</summary>
    /// <param name="train">Whether to set training mode; default true.</param>
    public override void train(bool train = true)
    {
        _train = train;
        base.train(train && !_frozen);
    }

    /// <summary>num_batches_tracked, which files of PyTorch before 0.4.1 do not have.</summary>
    private protected override string? KeyOlderFilesLack => nameof(num_batches_tracked);

    /// <summary>Sets the running mean to 0, the variance to 1 and the count of batches to 0.</summary>
    public void reset_running_stats()
    {
        using var _ = no_grad();
        Writable.Require(_running_mean, nameof(running_mean));
        Writable.Require(_running_var, nameof(running_var));
        Writable.Require(_num_batches_tracked, nameof(num_batches_tracked));
        _running_mean?.fill_(Zero);
        _running_var?.fill_(One);
        _num_batches_tracked?.fill_(Zero);
    }

    /// <summary>Sets the scale to 1, the shift to 0, and resets the running statistics.</summary>
    public override void reset_parameters()
    {
        reset_running_stats();
        base.reset_parameters();
    }

    /// <inheritdoc/>
    public override string extra_repr() =>
        $"{num_features}, eps={Repr.Of(eps)}, momentum={Repr.Of(momentum)}, affine={Repr.Of(affine)}, track_running_stats={Repr.Of(track_running_stats)}";

    private protected override void Move(StateMove move)
    {
        base.Move(move);
        running_mean = move.Of(_running_mean);
        running_var = move.Of(_running_var);
        num_batches_tracked = move.Of(_num_batches_tracked);
    }

    /// <summary>Throws if the class does not accept the input's rank.</summary>
    private protected abstract void CheckRank(Tensor input);

    private static void RequireSize(long num_features)
    {
        if (num_features < 0)
            throw new ArgumentOutOfRangeException(nameof(num_features),
                FormattableString.Invariant($"Trying to create tensor with negative dimension {num_features}: [{num_features}]"));
    }

    private void SetBuffer(ref Tensor? field, Tensor? value)
    {
        if (ReferenceEquals(field, value)) return;
        var old = field;
        field = value;
        value?.DetachFromDisposeScope();
        old?.Dispose();
        foreach (string name in new[] { nameof(running_mean), nameof(running_var), nameof(num_batches_tracked) }) ConditionallyRegisterBuffer(name, null);
        ConditionallyRegisterBuffer(nameof(running_mean), _running_mean);
        ConditionallyRegisterBuffer(nameof(running_var), _running_var);
        ConditionallyRegisterBuffer(nameof(num_batches_tracked), _num_batches_tracked);
    }
}
