using SwapModules;
using TorchSharp;
using TorchStab.Samples;
using static TorchSharp.torch;

const int Classes = 10, Size = 32;
var commandLine = new CommandLine();
return SampleProgram.Run(commandLine.Root, args, (parsed, stop) => Run(commandLine.Parse(parsed), stop));

static void Run(Settings s, CancellationToken stop)
{
    var device = Devices.Open(s.Device);
    if (s.Batch > s.Images) throw new SampleException($"--batch {s.Batch} is more than the {s.Images} images.");
    using var data = new Patterns(s.Images, Classes, Size, s.Batch, s.Seed, device);
    manual_seed(s.Seed);
    // A model of somebody else: TorchVision's ResNet-18, whose norms are torch.nn's, in fields of blocks and in Sequentials.
    using var model = torchvision.models.resnet18(num_classes: Classes).to(device);
    Report.Line($"TorchVision's ResNet-18, {Report.Count(model.parameters().Sum(p => p.numel()), "parameter")}, {s.Images} images of {Classes} kinds, batches "
        + $"of {s.Batch}, seed {s.Seed}");
    using var operation = new Operation(model, data, s, stop);
    ProgressView.Show(Operation.Names, ["batch", "result"], operation.Run, "phase");
    operation.Print();
}
