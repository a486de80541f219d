using TorchStab.Tests.Support;
using static TorchSharp.torch;

namespace TorchStab.Tests.Recurrent;

/// <summary>Padding may hold anything: nothing of it reaches outputs, states or gradients.</summary>
public class PaddingTests
{
    public static TheoryData<string, bool, double> Modules
    {
        get
        {
            TheoryData<string, bool, double> cases = [];
            foreach (string kind in new[] { "LSTM", "GRU" })
                foreach (bool batchFirst in new[] { false, true })
                    foreach (double eps in new[] { 1e-5, 0 }) cases.Add(kind, batchFirst, eps);
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Modules))]
    public void Gradients_are_those_of_any_other_padding(string kind, bool batch_first, double eps)
    {
        using var scope = NewDisposeScope();
        var lengths = tensor(new long[] { 6, 2, 4 });
        var plain = Run(kind, batch_first, eps, lengths, 0.25);
        foreach (double padding in new[] { 0, double.NaN, double.PositiveInfinity, double.NegativeInfinity, 1e300 })
        {
            var spoilt = Run(kind, batch_first, eps, lengths, padding);
            Assert.Equal(plain.Count, spoilt.Count);
            for (int i = 0; i < plain.Count; i++)
            {
                Assert.True(spoilt[i].isfinite().all().item<bool>(), $"{i} with padding {padding}");
                Compare.Identical(plain[i], spoilt[i], $"{i} with padding {padding}");
            }
        }
    }

    // Outputs, states and the gradients of the input, the first states and all parameters.
    private static List<Tensor> Run(string kind, bool batch_first, double eps, Tensor lengths, double padding)
    {
        manual_seed(9);
        var values = randn(6, 3, 4, ScalarType.Float64);
        for (int n = 0; n < 3; n++)
        {
            long length = lengths[n].item<long>();
            if (length < 6) values.narrow(0, length, 6 - length).select(1, n).fill_(padding);
        }
        var x = (batch_first ? values.transpose(0, 1).contiguous() : values).requires_grad_();
        var (h, c) = (randn(2, 3, 5, ScalarType.Float64).requires_grad_(), randn(2, 3, 5, ScalarType.Float64).requires_grad_());
        Tensor[] results;
        nn.Module module;
        if (kind == "LSTM")
        {
            var lstm = stab.nn.LayerNormLSTM(4, 5, 2, batch_first, eps: eps, dtype: ScalarType.Float64);
            var (output, hn, cn) = lstm.forward(x, (h, c), lengths);
            (module, results) = (lstm, [output, hn, cn]);
        }
        else
        {
            var gru = stab.nn.LayerNormGRU(4, 5, 2, batch_first, eps: eps, dtype: ScalarType.Float64);
            var (output, hn) = gru.forward(x, h, lengths);
            (module, results) = (gru, [output, hn]);
        }
        Tensor[] inputs = [x, h, .. kind == "LSTM" ? new[] { c } : [], .. module.parameters()];
        var gradients = autograd.grad(results, inputs, [.. results.Select(r => randn_like(r))]);
        return [.. results, .. gradients];
    }
}
