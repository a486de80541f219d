namespace TorchStab.Tests.Amp;

/// <summary>The numbers of a loss scaler: which are refused, and how they continue.</summary>
public class GradScalerNumbersTests
{
    [Theory]
    [InlineData("init_scale", 0, 2, 0.5, 1)]
    [InlineData("init_scale", 1e39, 2, 0.5, 1)]
    [InlineData("init_scale", double.NaN, 2, 0.5, 1)]
    [InlineData("growth_factor", 1, 1, 0.5, 1)]
    [InlineData("growth_factor", 1, double.PositiveInfinity, 0.5, 1)]
    [InlineData("backoff_factor", 1, 2, 1, 1)]
    [InlineData("backoff_factor", 1, 2, 0, 1)]
    [InlineData("growth_interval", 1, 2, 0.5, 0)]
    public void Numbers_outside_their_range_are_refused(string argument, double init, double growth, double backoff, long interval) =>
        Assert.Equal(argument, Assert.Throws<ArgumentException>(() => stab.amp.GradScaler(init, growth, backoff, interval)).ParamName);

    [Fact]
    public void The_state_continues_the_scale()
    {
        var scaler = stab.amp.GradScaler(8, 3, 0.25, 7);
        var state = new Dictionary<string, double>(scaler.state_dict()) { ["_growth_tracker"] = 6 };
        var other = stab.amp.GradScaler();
        other.load_state_dict(state);
        Assert.Equal(state, other.state_dict());
        foreach (string key in state.Keys)
        {
            var wrong = new Dictionary<string, double>(state) { [key] = -1.5 };
            Assert.Equal("state_dict", Assert.Throws<ArgumentException>(() => other.load_state_dict(wrong)).ParamName);
            wrong.Remove(key);
            Assert.Equal("state_dict", Assert.Throws<ArgumentException>(() => other.load_state_dict(wrong)).ParamName);
        }
        Assert.Equal(state, other.state_dict());
    }
}
