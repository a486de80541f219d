using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Benchmarks.Comparisons;

/// <summary>An update of AveragedModel: one pass over all weights, against a <c>lerp_</c> for each.</summary>
internal sealed class AveragedModel : IComparison
{
    private const double Decay = 0.999;

    public string Name => nameof(AveragedModel);

    public IEnumerable<Pair> Cases(bool quick)
    {
        yield return Case("200 × 64×64", ParameterLists.Same(200, 64, 64));
        if (!quick) yield return Case("ResNet-18, 11.7 M", ParameterLists.ResNet18());
    }

    private static Pair Case(string name, List<long[]> shapes)
    {
        var model = new Weights(shapes);
        return new(name, model.Lerp, model.Update, 3 * sizeof(float) * model.Elements, AtLeast: 1, Verify: () => model.RequireSame(name),
            Release: model.Dispose);
    }

    private sealed class Weights : nn.Module
    {
        private readonly List<Parameter> _values;
        private readonly List<Tensor> _theirs;
        private readonly Modules.AveragedModel _ours;
        private readonly Tensor _weight = tensor(1 - Decay, ScalarType.Float32);

        public Weights(List<long[]> shapes)
            : base(nameof(Weights))
        {
            _values = ParameterLists.WithGradients(shapes, 1);
            foreach (var (i, p) in _values.Index()) register_parameter($"{i}", p);
            _theirs = _values.ConvertAll(p => p.detach().clone());
            _ours = stab.optim.swa_utils.AveragedModel(this, stab.optim.swa_utils.get_ema_multi_avg_fn(Decay));
            _ours.update_parameters(this);
        }

        public long Elements => ParameterLists.Elements(_values);

        public void Lerp()
        {
            using var _ = no_grad();
            foreach (var (mean, p) in _theirs.Zip(_values)) mean.lerp_(p, _weight);
        }

        public void Update() => _ours.update_parameters(this);

        public void RequireSame(string name)
        {
            using (no_grad()) foreach (var p in _values) p.mul_(0.5);
            Lerp();
            Update();
            foreach (var (i, mean) in _theirs.Index())
                if (!mean.allclose(_ours.state_dict()[$"module.{i}"])) throw new InvalidOperationException($"{name}: the averages differ");
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                _theirs.ForEach(t => t.Dispose());
                _weight.Dispose();
                _ours.Dispose();
            }
            base.Dispose(disposing);
        }
    }
}
