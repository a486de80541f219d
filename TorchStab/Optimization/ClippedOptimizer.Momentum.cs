using TorchSharp.Modules;
using static TorchSharp.torch.optim;

namespace TorchStab.Modules;

public partial class ClippedOptimizer
{
    // TorchSharp's cyclic schedulers test the optimizer's type to find which kind of momentum it has.
    internal static ClippedOptimizer Of(Optimizer inner, GradientClip clip, NonFinitePolicy? nonFinite,
        IEnumerable<(string name, Parameter parameter)>? names) => inner switch
        {
            IMomentum => new WithMomentum(inner, clip, nonFinite, names),
            IBetas => new WithBetas(inner, clip, nonFinite, names),
            _ => new(inner, clip, nonFinite, names),
        };

    private sealed class WithMomentum(Optimizer inner, GradientClip clip, NonFinitePolicy? nonFinite, IEnumerable<(string name, Parameter parameter)>? names)
        : ClippedOptimizer(inner, clip, nonFinite, names), IMomentum
    {
        public double Momentum
        {
            get => ((IMomentum)Inner).Momentum;
            set => ((IMomentum)Inner).Momentum = value;
        }
    }

    private sealed class WithBetas(Optimizer inner, GradientClip clip, NonFinitePolicy? nonFinite, IEnumerable<(string name, Parameter parameter)>? names)
        : ClippedOptimizer(inner, clip, nonFinite, names), IBetas
    {
        public (double, double) Betas
        {
            get => ((IBetas)Inner).Betas;
            set => ((IBetas)Inner).Betas = value;
        }
    }
}
