using TorchSharp.Modules;
using static TorchSharp.torch;

namespace TorchStab.Tests.Surgery;

/// <summary>What a report prints, and the line of source that it asks to change.</summary>
public class SurgeryReportTests
{
    private sealed class Primary(BatchNorm2d norm) : nn.Module<Tensor, Tensor>(nameof(Primary))
    {
        public override Tensor forward(Tensor x) => norm.call(x);

        public Primary Registered()
        {
            register_module("norm", norm);
            return this;
        }
    }

    private class Typed : nn.Module<Tensor, Tensor>
    {
        protected readonly BatchNorm2d[] many = [nn.BatchNorm2d(3)];
        internal (BatchNorm2d, int) pair = (nn.BatchNorm2d(3), 1);
        public Dictionary<string, List<BatchNorm2d>> table = new() { ["x"] = [nn.BatchNorm2d(3)] };
        private BatchNorm2d plain = nn.BatchNorm2d(3);
        private readonly Func<Tensor, Tensor> closure;

        public Typed() : base(nameof(Typed))
        {
            var captured = nn.BatchNorm2d(3);
            closure = x => captured.call(x);
            foreach (var (name, norm) in new (string, nn.Module)[]
            {
                ("many0", many[0]), ("pair", pair.Item1), ("table", table["x"][0]), ("plain", plain), ("captured", captured),
                ("init", Init), ("own", Own), ("kin", Kin), ("near", Near),
            }) register_module(name, norm);
        }

        public BatchNorm2d Init { get; init; } = nn.BatchNorm2d(3);

        private BatchNorm2d Own { get; set; } = nn.BatchNorm2d(3);

        protected BatchNorm2d Kin { get; } = nn.BatchNorm2d(3);

        internal BatchNorm2d Near { get; set; } = nn.BatchNorm2d(3);

        public override Tensor forward(Tensor x) => closure(plain.call(x));
    }

    [Theory]
    [InlineData("many0", "field 'many' of Typed can only hold a BatchNorm2d; make its value of the new type, too", "protected readonly BatchNorm2d[] many;",
        "protected readonly TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>[] many;")]
    [InlineData("pair", "field 'pair' of Typed can only hold a BatchNorm2d", "internal (BatchNorm2d, int) pair;",
        "internal (TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>, int) pair;")]
    [InlineData("table", "field 'table' of Typed can only hold a BatchNorm2d; make its value of the new type, too",
        "public Dictionary<string, List<BatchNorm2d>> table;",
        "public System.Collections.Generic.Dictionary<string, System.Collections.Generic.List<TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, "
        + "TorchSharp.torch.Tensor>>> table;")]
    [InlineData("plain", "field 'plain' of Typed can only hold a BatchNorm2d", "private BatchNorm2d plain;",
        "private TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor> plain;")]
    [InlineData("captured", "captured variable 'captured' of Typed can only hold a BatchNorm2d", "BatchNorm2d captured",
        "TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor> captured")]
    [InlineData("init", "property 'Init' of Typed can only hold a BatchNorm2d", "public BatchNorm2d Init { get; init; }",
        "public TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor> Init { get; init; }")]
    [InlineData("own", "property 'Own' of Typed can only hold a BatchNorm2d", "private BatchNorm2d Own { get; set; }",
        "private TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor> Own { get; set; }")]
    [InlineData("kin", "property 'Kin' of Typed can only hold a BatchNorm2d", "protected BatchNorm2d Kin { get; }",
        "protected TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor> Kin { get; }")]
    [InlineData("near", "property 'Near' of Typed can only hold a BatchNorm2d", "internal BatchNorm2d Near { get; set; }",
        "internal TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor> Near { get; set; }")]
    public void The_line_to_change_is_the_one_in_the_source(string path, string reason, string line, string replacement)
    {
        using var model = new Typed();
        var refusal = stab.nn.utils.swap_norms_(model).Refusals.Single(r => r.Path == path);
        Assert.Equal(("torch.nn.BatchNorm2d", reason, line, replacement), (refusal.Module, refusal.Reason, refusal.Line, refusal.Replacement));
    }

    [Fact]
    public void A_primary_constructors_parameter_is_called_one()
    {
        using var model = new Primary(nn.BatchNorm2d(3)).Registered();
        var refusal = stab.nn.utils.swap_norms_(model).Refusals.Single();
        Assert.Equal(("primary-constructor parameter 'norm' of Primary can only hold a BatchNorm2d", "BatchNorm2d norm",
            "TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor> norm"),
            (refusal.Reason, refusal.Line, refusal.Replacement));
    }

    private sealed class WithLocal : nn.Module<Tensor, Tensor>
    {
        private readonly LayerNorm norm = nn.LayerNorm(3);

        public WithLocal() : base(nameof(WithLocal)) => RegisterComponents();

        public override Tensor forward(Tensor x)
        {
            LayerNorm n = norm;
            for (int i = 0; i < 2; i++) x = n.call(x);
            return x;
        }
    }

    private sealed class WithParameter : nn.Module<Tensor, Tensor>
    {
        private readonly LayerNorm norm = nn.LayerNorm(3);

        public WithParameter() : base(nameof(WithParameter)) => RegisterComponents();

        public override Tensor forward(Tensor x) => Run(norm, x);

        private static Tensor Run(LayerNorm given, Tensor x) => given.call(x);
    }

    private sealed class WithSetter : nn.Module<Tensor, Tensor>
    {
        private LayerNorm norm = nn.LayerNorm(3);

        public WithSetter() : base(nameof(WithSetter)) => RegisterComponents();

        internal LayerNorm Norm { set => norm = value; }

        public override Tensor forward(Tensor x) => norm.call(x);
    }

    /// <summary>After the edit of the field such a variable does not compile; the compiled code does not show where it is, or whether it is a var.</summary>
    [Fact]
    public void Variables_of_the_norms_class_are_mentioned()
    {
        const string Hint = "; where a local variable or a parameter is declared as LayerNorm too, write the new type or var";
        var cases = new (nn.Module<Tensor, Tensor>, string)[] { (new WithLocal(), Hint), (new WithParameter(), Hint), (new WithSetter(), "") };
        foreach (var (model, hint) in cases)
        {
            using (model)
                Assert.Equal($"field 'norm' of {model.GetType().Name} can only hold a LayerNorm{hint}",
                    stab.nn.utils.swap_norms_(model).Refusals.Single().Reason);
        }
    }

    [Fact]
    public void A_report_prints_changes_in_columns_and_then_what_was_left()
    {
        var report = new SurgeryReport([new("features.1", "torch.nn.BatchNorm2d", "stab.nn.BatchNorm2d"), new("n", "torch.nn.LayerNorm", "stab.nn.LayerNorm")],
            [new("a.b", "torch.nn.BatchNorm2d", "it is so", "BatchNorm2d x;", "Module x;"), new("c", "Odd", "because")]);
        Assert.Equal(
            """
            path        from                  to
            features.1  torch.nn.BatchNorm2d  stab.nn.BatchNorm2d
            n           torch.nn.LayerNorm    stab.nn.LayerNorm
            2 changed, 2 left
            a.b  torch.nn.BatchNorm2d: it is so
                change  BatchNorm2d x;
                to      Module x;
            c  Odd: because
            """, report.ToString());
        Assert.Equal("0 changed, 0 left", new SurgeryReport([], []).ToString());
        Assert.StartsWith("path  from  to\nx     y     z\n", new SurgeryReport([new("x", "y", "z")], []).ToString(), StringComparison.Ordinal);
    }
}
