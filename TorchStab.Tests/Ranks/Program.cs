using TorchStab;
using TorchStab.Tests.Ranks;

var scenarios = new Dictionary<string, Action<string[]>>
{
    ["collectives"] = _ => Collectives.Run(),
    ["exception"] = _ => Faults.Exception(),
    ["null"] = _ => Faults.CaughtNullReference(),
    ["mismatch"] = _ => Faults.DifferentCalls(),
    ["killed"] = _ => Faults.Killed(),
    ["leaves"] = _ => Faults.LeavesEarly(),
    ["dies"] = a => Training.Dies(a[0]),
    ["resumes"] = a => Training.Resumes(a[0]),
    ["sums"] = _ => Training.Sums(),
    ["late"] = _ => Faults.Late(),
};
scenarios[args[0]](args[1..]);
stab.distributed.destroy_process_group();
Console.WriteLine("done");
