using TorchSharp.Modules;
using TorchStab.Tests.Surgery.Models;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace TorchStab.Tests.Initialization;

/// <summary>Which function follows which layer, guessed from the order in which a module with a forward of its own registers its children.</summary>
public class ActivationOrderTests
{
    /// <summary>Children by name, and the function that each layer is expected to have.</summary>
    public static TheoryData<string, string> Blocks => new()
    {
        { "conv bn relu conv bn down", "relu relu relu" }, // a ResNet's block
        { "conv bn conv bn relu down", "relu relu relu" }, // as torchvision registers it
        { "conv conv bn bn relu", "relu relu" },
        { "conv bn conv bn conv bn relu", "relu relu relu" },
        { "conv conv fc fc pool relu relu relu drop logsoftmax", "relu relu relu logsoftmax" }, // one function for each layer, after them
        { "relu relu fc fc", "relu relu" },
        { "conv relu pool conv relu pool fc relu fc", "relu relu relu -" },
        { "conv bn relu pool fc", "relu -" },
        { "conv conv fc fc relu", "relu relu relu -" }, // one for all of them: the last makes the output
        { "fc fc relu logsoftmax", "relu logsoftmax" },
        { "fc act fc", "gelu -" },
        { "fc fc act", "gelu -" },
        { "ln fc fc ln fc act fc", "- - gelu -" }, // a transformer's block
        { "mha fc drop fc ln ln drop act", "gelu -" },
        { "conv relu conv sigmoid", "relu sigmoid" }, // squeeze and excitation
        { "conv conv relu sigmoid", "relu sigmoid" },
        { "fc fc fc relu act", "- - -" }, // two kinds for three layers
        { "convbn relu fc", "relu -" },
        { "list relu fc", "- relu -" },
        { "fc fc", "- -" },
        { "fc selu fc selu", "selu selu" },
    };

    [Theory, MemberData(nameof(Blocks))]
    public void Layers_take_the_function_that_their_block_registers_for_them(string children, string functions)
    {
        using var scope = NewDisposeScope();
        using var model = new Own(children.Split(' '));
        var report = stab.nn.init.initialize_(model);
        Assert.Equal(functions.Split(' '),
            report.Entries.Where(e => e.StdAsked is not null && !e.Scheme.Contains("attention", StringComparison.Ordinal)).Select(e => Function(e.Scheme)));
        bool guessed = functions.Split(' ').Any(f => f != "-");
        Assert.Equal(guessed, report.Notes.Any(n =>
            n.Contains("is guessed from the order of registration: InitializationOptions.Example shows it in a run, or state it by Rules",
                StringComparison.Ordinal)));
        Assert.Equal(!guessed, report.Notes.Any(n => n.StartsWith("no activation is known in this model", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_ResNet_takes_He_for_every_convolution_though_its_blocks_call_forward()
    {
        using var scope = NewDisposeScope();
        using var model = new ResNet18(width: 4);
        foreach (var example in new[] { null, randn(2, 3, 32, 32) })
        {
            var report = stab.nn.init.initialize_(model, new() { Example = example });
            var entries = report.Entries.Where(e => e.StdAsked is not null).ToList();
            Assert.Contains(report.Notes, n => n.EndsWith(example is null ? "InitializationOptions.Example shows it in a run, or state it by Rules"
                : "forward() runs no hooks: run the layers by call(), or state it by Rules", StringComparison.Ordinal));
            Assert.Equal(20, entries.Count(e => e.Scheme.StartsWith("He normal (before ReLU, ", StringComparison.Ordinal)));
            Assert.Equal("fc.weight", Assert.Single(entries, e => e.Scheme.StartsWith("Xavier", StringComparison.Ordinal)).Parameter);
        }
    }

    [Fact]
    public void A_Sequential_is_no_guess_and_a_rule_goes_first()
    {
        using var model = Sequential(("a", Linear(4, 4)), ("relu", ReLU()), ("b", new Own("fc", "act")));
        var report = stab.nn.init.initialize_(model, new() { Rules = [InitializationRule.ForName("b.*", Nonlinearity.Tanh)] });
        Assert.Equal(["He normal (before ReLU)", "Xavier normal (before Tanh by rule)"],
            report.Entries.Where(e => e.StdAsked is not null).Select(e => e.Scheme));
        Assert.Empty(report.Notes);
    }

    private static string Function(string scheme) =>
        scheme.Contains("no activation", StringComparison.Ordinal) ? "-" : scheme.Split("before ")[1].Split([',', ')'])[0].ToLowerInvariant();

    private sealed class Own : Module<Tensor, Tensor>
    {
        public Own(params string[] children) : base(nameof(Own))
        {
            int i = 0;
            foreach (string child in children) register_module($"{i++}_{child}", Make(child));
        }

        public override Tensor forward(Tensor input) => input.alias();

        private static Module Make(string child) => child switch
        {
            "conv" => Conv2d(4, 4, 3),
            "fc" => Linear(4, 4),
            "bn" => BatchNorm2d(4),
            "ln" => LayerNorm(4),
            "relu" => ReLU(),
            "act" => GELU(),
            "selu" => SELU(),
            "sigmoid" => Sigmoid(),
            "logsoftmax" => LogSoftmax(1),
            "pool" => MaxPool2d(2),
            "drop" => Dropout(),
            "mha" => MultiheadAttention(4, 2),
            "down" => Sequential(Conv2d(4, 4, 1), BatchNorm2d(4)),
            "convbn" => new Own("conv", "bn"),
            _ => new ModuleList<Module>(Linear(4, 4), LayerNorm(4), Linear(4, 4)),
        };
    }
}
