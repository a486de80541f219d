// TorchStab in one file: copy it into a console project that references the packages TorchStab and TorchSharp-cpu.
using TorchStab;
using static TorchSharp.torch;

if (args.Length > 0)
{
    Console.WriteLine("usage: dotnet run --project samples/QuickStart, without options: trains a classifier of two spirals for a few seconds");
    return args is ["--help"] or ["-h"] or ["-?"] ? 0 : 2;
}

// Memory: keeps what was freed for the next tensors. Of use to networks with larger activations than these; true on Linux with glibc.
Memory.TuneAllocator();

// Data: points on two spirals, and which spiral each is on.
manual_seed(1);
const int Points = 1000, Steps = 300, Batch = 100;
using var turn = rand(Points, 1).sqrt() * 3 * Math.PI;
using var labels = arange(Points).remainder(2);
using var angle = turn + labels.unsqueeze(1) * Math.PI;
using var points = cat([turn * angle.cos(), turn * angle.sin()], 1) / 10 + randn(Points, 2) * 0.02;

// Model: norms from stab.nn, and weights by the function that follows each layer.
using var model = nn.Sequential(
    ("linear1", nn.Linear(2, 64)), ("norm1", stab.nn.BatchNorm1d(64)), ("relu1", nn.ReLU()),
    ("linear2", nn.Linear(64, 64)), ("norm2", stab.nn.BatchNorm1d(64)), ("relu2", nn.ReLU()),
    ("linear3", nn.Linear(64, 64)), ("norm3", stab.nn.BatchNorm1d(64)), ("relu3", nn.ReLU()),
    ("output", nn.Linear(64, 2)));
Console.WriteLine(stab.nn.init.initialize_(model));

// Optimizer: clips the norm of all gradients, and skips a step whose gradients are not finite. Names tell which parameter it was.
using var optimizer = stab.optim.AdamW(model.named_parameters(), lr: 1e-2, global_clipnorm: 1);
var schedule = stab.optim.lr_scheduler.WarmupCosine(optimizer, warmup_steps: 20, total_steps: Steps);
using var monitor = new GradientMonitor(model);

for (int step = 1; step <= Steps; step++)
{
    using var scope = NewDisposeScope(); // frees the tensors of this step
    var some = randint(0, Points, Batch);
    optimizer.zero_grad();
    var loss = nn.functional.cross_entropy(model.call(points[some]), labels[some]);
    loss.backward();
    monitor.Step(optimizer); // in place of optimizer.step(): also measures gradients and updates, layer by layer
    schedule.step();
    var report = optimizer.LastStep;
    if (step % 50 == 0)
        Console.WriteLine($"step {step}: loss {loss.item<float>():0.0000}, gradient norm {report.GradNorm:0.000}, clipped {report.Clipped}, skipped "
            + $"{report.Skipped}");
}

Console.WriteLine(monitor.Judge()); // what vanishes, explodes, is not trained: with evidence and the way out
model.eval();
using var accuracy = model.call(points).argmax(1).eq(labels).to(ScalarType.Float32).mean();
Console.WriteLine($"{100 * accuracy.item<float>():0.0} % of the points are on the spiral it says");
return 0;
