using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab.Tests.Surgery.Models;

/// <summary>Radford et al.: Language Models are Unsupervised Multitask Learners, 2019 (GPT-2): a stack of pre-LN blocks, weights tied.</summary>
internal sealed class Gpt : Module<Tensor, Tensor>
{
    private readonly Embedding wte, wpe;
    private readonly ModuleList<Block> h = new();

    public Gpt(long vocabulary, long context, long width, int layers, int heads) : base(nameof(Gpt))
    {
        wte = Embedding(vocabulary, width);
        wpe = Embedding(context, width);
        for (int i = 0; i < layers; i++) h.Add(new Block(width, heads));
        Norm = LayerNorm(width);
        RegisterComponents();
    }

    public Module<Tensor, Tensor> Norm { get; }

    public override Tensor forward(Tensor tokens)
    {
        using var scope = NewDisposeScope();
        var x = wte.call(tokens) + wpe.call(arange(tokens.shape[1]));
        foreach (var block in h) x = block.call(x);
        return functional.linear(Norm.call(x), wte.weight!).MoveToOuterDisposeScope();
    }

    private sealed class Block : Module<Tensor, Tensor>
    {
        private readonly Module<Tensor, Tensor> ln_1, ln_2;
        private readonly Attention attn;
        private readonly Sequential mlp;

        public Block(long width, int heads) : base(nameof(Block))
        {
            ln_1 = LayerNorm(width);
            attn = new Attention(width, heads);
            ln_2 = LayerNorm(width);
            mlp = Sequential(("c_fc", Linear(width, 4 * width)), ("gelu", GELU()), ("c_proj", Linear(4 * width, width)));
            RegisterComponents();
        }

        public override Tensor forward(Tensor x)
        {
            using var scope = NewDisposeScope();
            x = x + attn.call(ln_1.call(x));
            return (x + mlp.call(ln_2.call(x))).MoveToOuterDisposeScope();
        }
    }

    private sealed class Attention : Module<Tensor, Tensor>
    {
        private readonly int heads;
        private readonly Linear c_attn, c_proj;

        public Attention(long width, int heads) : base(nameof(Attention))
        {
            this.heads = heads;
            c_attn = Linear(width, 3 * width);
            c_proj = Linear(width, width);
            RegisterComponents();
        }

        public override Tensor forward(Tensor x)
        {
            using var scope = NewDisposeScope();
            var (n, t, c) = (x.shape[0], x.shape[1], x.shape[2]);
            var parts = c_attn.call(x).view(n, t, 3, heads, c / heads).permute(2, 0, 3, 1, 4).unbind(0);
            var scores = matmul(parts[0], parts[1].transpose(-2, -1)) / Math.Sqrt(c / heads);
            scores = scores.masked_fill(ones(t, t, dtype: ScalarType.Bool).triu(1), double.NegativeInfinity);
            var y = matmul(scores.softmax(-1), parts[2]).transpose(1, 2).reshape(n, t, c);
            return c_proj.call(y).MoveToOuterDisposeScope();
        }
    }
}
