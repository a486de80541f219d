using TorchSharp.Modules;
using TorchStab.Tests.Support;
using static TorchSharp.torch;
using static TorchStab.Tests.Support.OptimizerFile;

namespace TorchStab.Tests.Optimization;

/// <summary>A state with values that no optimizer leaves (a flipped bit makes a mean of squares negative) would make the parameters NaN.</summary>
public class ImpossibleMomentsTests
{
    [Fact]
    public void Moments_that_no_step_leaves_are_refused_and_change_nothing()
    {
        foreach (var make in Make.Optimizers.Values)
        {
            using var scope = NewDisposeScope();
            Parameter[] p = [new(randn(5)), new(randn(3, 4))];
            using var from = make(p.Select((q, i) => ($"p{i}", q)));
            using var to = make(p.Select((q, i) => ($"p{i}", q)));
            foreach (var q in p) q.grad = randn_like(q);
            from.step();
            to.step();
            byte[] before = Save(to);
            var state = from.state_dict().State[1];
            foreach (var field in state.GetType().GetFields())
            {
                if (field.GetValue(state) is not Tensor moment) continue;
                bool squares = field.Name.EndsWith("_sq", StringComparison.Ordinal) || field.Name == "square_avg";
                foreach (float bad in new[] { float.NaN, squares ? -1e-30f : float.PositiveInfinity })
                {
                    using var kept = moment.clone();
                    moment[1, 2] = bad;
                    var inFile = Assert.Throws<InvalidDataException>(() => Load(to, Save(from)));
                    var inState = Assert.Throws<InvalidOperationException>(() => to.load_state_dict(from.state_dict()));
                    Assert.Contains(field.Name, inFile.Message, StringComparison.Ordinal);
                    Assert.Contains(field.Name, inState.Message, StringComparison.Ordinal);
                    Assert.Equal(before, Save(to));
                    moment.copy_(kept);
                }
                if (!squares) continue;
                moment[1, 2] = float.PositiveInfinity; // as torch.optim leaves it after an overflow
                Load(to, Save(from));
                Load(to, before);
                moment[1, 2] = 1;
            }
        }
    }
}
