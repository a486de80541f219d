namespace Gallery;

/// <summary>A source of a claim, and where it can be read.</summary>
internal sealed record Paper(string Text, string Link)
{
    /// <summary>The same paper, with the place in it.</summary>
    public Paper At(string place) => this with { Text = $"{Text}, {place}" };
}

/// <summary>The papers that the claims come from.</summary>
internal static class Papers
{
    public static readonly Paper
        Hochreiter = new("Hochreiter 1991, Untersuchungen zu dynamischen neuronalen Netzen",
            "https://people.idsia.ch/~juergen/SeppHochreiter1991ThesisAdvisorSchmidhuber.pdf"),
        Bengio = new("Bengio, Simard & Frasconi 1994, Learning long-term dependencies with gradient descent is difficult", "https://doi.org/10.1109/72.279181"),
        Pascanu = new("Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks", "https://arxiv.org/abs/1211.5063"),
        Kingma = new("Kingma & Ba 2015, Adam: a method for stochastic optimization", "https://arxiv.org/abs/1412.6980"),
        Keras = new("Keras, Optimizers (clipnorm, global_clipnorm)", "https://keras.io/api/optimizers/"),
        Glorot = new("Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks",
            "https://proceedings.mlr.press/v9/glorot10a.html"),
        He = new("He, Zhang, Ren & Sun 2015, Delving deep into rectifiers", "https://arxiv.org/abs/1502.01852"),
        Ioffe = new("Ioffe & Szegedy 2015, Batch normalization: accelerating deep network training by reducing internal covariate shift",
            "https://arxiv.org/abs/1502.03167"),
        Renorm = new("Ioffe 2017, Batch renormalization: towards reducing minibatch dependence", "https://arxiv.org/abs/1702.03275"),
        Santurkar = new("Santurkar, Tsipras, Ilyas & Madry 2018, How does batch normalization help optimization?", "https://arxiv.org/abs/1805.11604"),
        Bjorck = new("Bjorck, Gomes, Selman & Weinberger 2018, Understanding batch normalization", "https://arxiv.org/abs/1806.02375"),
        Luo = new("Luo et al. 2019, Towards understanding regularization in batch normalization", "https://arxiv.org/abs/1809.00846"),
        Hoffer = new("Hoffer, Hubara & Soudry 2017, Train longer, generalize better (ghost batches)", "https://arxiv.org/abs/1705.08741"),
        Srivastava = new("Srivastava et al. 2014, Dropout: a simple way to prevent neural networks from overfitting",
            "https://jmlr.org/papers/v15/srivastava14a.html"),
        Li = new("Li et al. 2019, Understanding the disharmony between dropout and batch normalization by variance shift", "https://arxiv.org/abs/1801.05134"),
        Ba = new("Ba, Kiros & Hinton 2016, Layer normalization", "https://arxiv.org/abs/1607.06450"),
        Wu = new("Wu & He 2018, Group normalization", "https://arxiv.org/abs/1803.08494"),
        Cooijmans = new("Cooijmans et al. 2017, Recurrent batch normalization", "https://arxiv.org/abs/1603.09025"),
        Jacob = new("Jacob et al. 2018, Quantization and training of neural networks for efficient integer-arithmetic-only inference",
            "https://arxiv.org/abs/1712.05877");
}
