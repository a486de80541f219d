namespace TorchStab;

/// <summary>How <c>stab.distributed.all_reduce</c> combines the ranks' tensors, element by element. As <c>torch.distributed.ReduceOp</c>.</summary>
public enum ReduceOp
{
    /// <summary>The sum.</summary>
    Sum,

    /// <summary>The mean; floating dtypes only.</summary>
    Avg,

    /// <summary>The product.</summary>
    Product,

    /// <summary>The smallest value.</summary>
    Min,

    /// <summary>The largest value.</summary>
    Max,
}
