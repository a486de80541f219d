using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab.Benchmarks.Comparisons.Networks;

/// <summary>Radford et al.: Language Models are Unsupervised Multitask Learners, 2019 (GPT-2): pre-LN blocks; input and output embedding apart.</summary>
internal sealed class SmallTransformer : Module<Tensor, Tensor>
{
    private readonly Embedding _tokens, _positions;
    private readonly Sequential _blocks;
    private readonly Tensor _places;

    public SmallTransformer(NormFamily norms, long vocabulary, long context, long width, int layers, int heads) : base(nameof(SmallTransformer))
    {
        _tokens = Embedding(vocabulary, width);
        _positions = Embedding(context, width);
        _places = arange(context).DetachFromDisposeScope();
        _blocks = Sequential();
        for (int i = 0; i < layers; i++) _blocks.append(new Block(norms, width, heads));
        _blocks.append(norms.LayerNorm(width)).append(Linear(width, vocabulary, hasBias: false));
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        return _blocks.call(_tokens.call(input).add_(_positions.call(_places))).MoveToOuterDisposeScope();
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) _places.Dispose();
        base.Dispose(disposing);
    }

    private sealed class Block : Module<Tensor, Tensor>
    {
        private readonly int _heads;
        private readonly Module<Tensor, Tensor> _beforeAttention, _beforeMlp, _mlp;
        private readonly Linear _attention, _projection;

        public Block(NormFamily norms, long width, int heads) : base(nameof(Block))
        {
            _heads = heads;
            _beforeAttention = norms.LayerNorm(width);
            _attention = Linear(width, 3 * width);
            _projection = Linear(width, width);
            _beforeMlp = norms.LayerNorm(width);
            _mlp = Sequential(Linear(width, 4 * width), GELU(), Linear(4 * width, width));
            RegisterComponents();
        }

        public override Tensor forward(Tensor input)
        {
            using var scope = NewDisposeScope();
            var x = Attend(_beforeAttention.call(input)).add_(input);
            return _mlp.call(_beforeMlp.call(x)).add_(x).MoveToOuterDisposeScope();
        }

        private Tensor Attend(Tensor x)
        {
            long batch = x.size(0), length = x.size(1), width = x.size(2);
            var parts = _attention.call(x).view(batch, length, 3, _heads, width / _heads).permute(2, 0, 3, 1, 4).unbind(0);
            var y = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_casual: true);
            return _projection.call(y.transpose(1, 2).reshape(batch, length, width));
        }
    }
}
