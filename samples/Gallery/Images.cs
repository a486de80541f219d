using TorchStab.Samples;
using static TorchSharp.torch;

namespace Gallery;

/// <summary>Some images of a data set that follow one another: for training, for the choice of a learning rate, for the test.</summary>
internal sealed record Images(Mnist Data, long From, long Count)
{
    /// <summary>The images and labels at these places, in the caller's DisposeScope.</summary>
    public (Tensor Images, Tensor Labels) Batch(Tensor places) => Data.Batch(places + From);

    /// <summary>A batch that is drawn anew from <paramref name="random"/>, or all in a new order if it is to hold all; in the caller's DisposeScope.</summary>
    public (Tensor Images, Tensor Labels) Draw(int size, Generator random) =>
        size == Count ? Batch(randperm(Count, generator: random)) : Data.Batch(randint(From, From + Count, [size], generator: random));
}
