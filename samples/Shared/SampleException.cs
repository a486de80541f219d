namespace TorchStab.Samples;

/// <summary>A failure the user can act on: its message is shown as one line, without a stack trace.</summary>
public sealed class SampleException : Exception
{
    public SampleException(string message) : base(message) { }

    public SampleException(string message, Exception cause) : base(message, cause) { }
}
