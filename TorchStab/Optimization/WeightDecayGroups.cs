using System.Collections;
using System.IO.Enumeration;
using System.Text;
using TorchStab.Dispatch;
using static TorchSharp.torch;
using Parameter = TorchSharp.Modules.Parameter;
using Theirs = TorchSharp.Modules;

namespace TorchStab.Modules;

/// <summary>
/// A model's parameters in two groups, with and without weight decay. <c>stab.optim.param_groups_weight_decay</c> creates it; pass it to an optimizer's
/// factory instead of parameters. It is a sequence of groups for every optimizer of <c>stab.optim</c>, and for those of <c>torch.optim</c> that have weight
/// decay; each optimizer gets its own group objects.
/// </summary>
public sealed class WeightDecayGroups :
    IEnumerable<Adam.ParamGroup>, IEnumerable<AdamW.ParamGroup>, IEnumerable<SGD.ParamGroup>, IEnumerable<RMSprop.ParamGroup>,
    IEnumerable<Theirs.Adadelta.ParamGroup>, IEnumerable<Theirs.Adagrad.ParamGroup>, IEnumerable<Theirs.Adam.ParamGroup>, IEnumerable<Theirs.Adamax.ParamGroup>,
    IEnumerable<Theirs.AdamW.ParamGroup>, IEnumerable<Theirs.ASGD.ParamGroup>, IEnumerable<Theirs.NAdam.ParamGroup>, IEnumerable<Theirs.RAdam.ParamGroup>,
    IEnumerable<Theirs.RMSProp.ParamGroup>, IEnumerable<Theirs.SGD.ParamGroup>
{
    private const string Bias = "bias";

    private readonly List<(string name, Parameter parameter)> _undecayed = [], _decayed = [];

    internal WeightDecayGroups(nn.Module model, double weight_decay, IEnumerable<string>? no_weight_decay_list)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (!(weight_decay >= 0 && double.IsFinite(weight_decay)))
            throw new ArgumentOutOfRangeException(nameof(weight_decay), weight_decay,
                FormattableString.Invariant($"Invalid weight_decay value: {weight_decay}; expected a finite number of at least 0"));
        WeightDecay = weight_decay;
        string[] patterns = [.. no_weight_decay_list ?? []];
        foreach (var (name, parameter) in model.named_parameters().DistinctBy(p => ParameterIdentity.OfLeaf(p.parameter)))
        {
            if (!parameter.requires_grad) continue;
            bool decays = parameter.dim() > 1 && !IsBias(name)
                && !Array.Exists(patterns, pattern => FileSystemName.MatchesSimpleExpression(pattern, name, ignoreCase: false));
            (decays ? _decayed : _undecayed).Add((name, parameter));
        }
    }

    /// <summary>The weight decay of <see cref="Decayed"/>.</summary>
    public double WeightDecay { get; }

    /// <summary>The parameters without weight decay, with their names; the first group.</summary>
    public IReadOnlyList<(string name, Parameter parameter)> Undecayed => _undecayed;

    /// <summary>The parameters with weight decay, with their names; the second group.</summary>
    public IReadOnlyList<(string name, Parameter parameter)> Decayed => _decayed;

    /// <summary>The parameters of both groups, one line per parameter.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        Print(text, "without weight decay", _undecayed);
        Print(text, FormattableString.Invariant($"with weight decay {WeightDecay}"), _decayed);
        return text.ToString();
    }

    IEnumerator<Adam.ParamGroup> IEnumerable<Adam.ParamGroup>.GetEnumerator() => Named((p, decay) => new Adam.ParamGroup(p, weight_decay: decay));

    IEnumerator<AdamW.ParamGroup> IEnumerable<AdamW.ParamGroup>.GetEnumerator() => Named((p, decay) => new AdamW.ParamGroup(p, weight_decay: decay));

    IEnumerator<SGD.ParamGroup> IEnumerable<SGD.ParamGroup>.GetEnumerator() => Named((p, decay) => new SGD.ParamGroup(p, weight_decay: decay));

    IEnumerator<RMSprop.ParamGroup> IEnumerable<RMSprop.ParamGroup>.GetEnumerator() => Named((p, decay) => new RMSprop.ParamGroup(p, weight_decay: decay));

    IEnumerator<Theirs.Adadelta.ParamGroup> IEnumerable<Theirs.Adadelta.ParamGroup>.GetEnumerator() =>
        Plain((p, decay) => new Theirs.Adadelta.ParamGroup(p, new() { weight_decay = decay }));

    IEnumerator<Theirs.Adagrad.ParamGroup> IEnumerable<Theirs.Adagrad.ParamGroup>.GetEnumerator() =>
        Plain((p, decay) => new Theirs.Adagrad.ParamGroup(p, new() { weight_decay = decay }));

    IEnumerator<Theirs.Adam.ParamGroup> IEnumerable<Theirs.Adam.ParamGroup>.GetEnumerator() =>
        Plain((p, decay) => new Theirs.Adam.ParamGroup(p, new() { weight_decay = decay }));

    IEnumerator<Theirs.Adamax.ParamGroup> IEnumerable<Theirs.Adamax.ParamGroup>.GetEnumerator() =>
        Plain((p, decay) => new Theirs.Adamax.ParamGroup(p, new() { weight_decay = decay }));

    IEnumerator<Theirs.AdamW.ParamGroup> IEnumerable<Theirs.AdamW.ParamGroup>.GetEnumerator() =>
        Plain((p, decay) => new Theirs.AdamW.ParamGroup(p, new() { weight_decay = decay }));

    IEnumerator<Theirs.ASGD.ParamGroup> IEnumerable<Theirs.ASGD.ParamGroup>.GetEnumerator() =>
        Plain((p, decay) => new Theirs.ASGD.ParamGroup(p, new() { weight_decay = decay }));

    IEnumerator<Theirs.NAdam.ParamGroup> IEnumerable<Theirs.NAdam.ParamGroup>.GetEnumerator() =>
        Plain((p, decay) => new Theirs.NAdam.ParamGroup(p, new() { weight_decay = decay }));

    IEnumerator<Theirs.RAdam.ParamGroup> IEnumerable<Theirs.RAdam.ParamGroup>.GetEnumerator() =>
        Plain((p, decay) => new Theirs.RAdam.ParamGroup(p, new() { weight_decay = decay }));

    IEnumerator<Theirs.RMSProp.ParamGroup> IEnumerable<Theirs.RMSProp.ParamGroup>.GetEnumerator() =>
        Plain((p, decay) => new Theirs.RMSProp.ParamGroup(p, new() { weight_decay = decay }));

    IEnumerator<Theirs.SGD.ParamGroup> IEnumerable<Theirs.SGD.ParamGroup>.GetEnumerator() =>
        Plain((p, decay) => new Theirs.SGD.ParamGroup(p, new() { weight_decay = decay }));

    IEnumerator IEnumerable.GetEnumerator() => Groups().GetEnumerator();

    private IEnumerator<T> Named<T>(Func<List<(string, Parameter)>, double, T> make) => Groups().Select(g => make([.. g.Parameters], g.Decay)).GetEnumerator();

    private IEnumerator<T> Plain<T>(Func<List<Parameter>, double, T> make) =>
        Groups().Select(g => make([.. g.Parameters.Select(p => p.parameter)], g.Decay)).GetEnumerator();

    // An optimizer does not accept a group without parameters.
    private IEnumerable<(List<(string name, Parameter parameter)> Parameters, double Decay)> Groups()
    {
        if (_undecayed.Count > 0) yield return (_undecayed, 0);
        if (_decayed.Count > 0) yield return (_decayed, WeightDecay);
    }

    private static bool IsBias(string name) => name == Bias || name.EndsWith($".{Bias}", StringComparison.Ordinal);

    private static void Print(StringBuilder text, string title, List<(string name, Parameter parameter)> group)
    {
        text.Append(title).Append(": ").Append(group.Count).Append(group.Count == 1 ? " parameter" : " parameters").AppendLine();
        foreach (var (name, parameter) in group) text.Append("  ").Append(name).Append(" [").AppendJoin(", ", parameter.shape).AppendLine("]");
    }
}
