using TorchStab.Dispatch;
using static TorchSharp.torch;

namespace TorchStab.Tests.Dispatch;

public sealed unsafe class ParallelTeamTests : IDisposable
{
    private readonly TeamKind _before = ParallelTeam.Kind;
    private readonly int _threads = get_num_threads();

    public void Dispose()
    {
        ParallelTeam.Kind = _before;
        set_num_threads(_threads);
    }

    public static TheoryData<string> Kinds => [nameof(TeamKind.OpenMP), nameof(TeamKind.ThreadPool), nameof(TeamKind.Serial)];

    private struct Job
    {
        public int* Visits;
        public int Throws;
        public int Calls;
    }

    [Fact]
    public void On_Linux_libtorchs_own_team_is_found() => Assert.Equal(OperatingSystem.IsLinux(), OpenMPTeam.IsAvailable);

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_item_runs_once(string kind)
    {
        ParallelTeam.Kind = Enum.Parse<TeamKind>(kind);
        foreach (int threads in new[] { 1, 2, 3 })
        {
            set_num_threads(threads);
            foreach (int items in new[] { 0, 1, 2, 3, 7, 100, 1001 })
            {
                var visits = new int[items + 1];
                fixed (int* p = visits)
                {
                    var job = new Job { Visits = p, Throws = -1 };
                    for (int repeat = 0; repeat < 50; repeat++) ParallelTeam.Run(&Visit, &job, items);
                    if (kind == nameof(TeamKind.OpenMP)) Assert.True(job.Calls <= 50 * threads, "more parts than threads");
                }
                Assert.Equal(0, visits[items]);
                Assert.All(visits[..items], v => Assert.Equal(50, v));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void An_exception_of_the_body_reaches_the_caller_and_the_team_goes_on(string kind)
    {
        ParallelTeam.Kind = Enum.Parse<TeamKind>(kind);
        var visits = new int[100];
        fixed (int* p = visits)
        {
            for (int item = 0; item < 100; item += 33)
            {
                var job = new Job { Visits = p, Throws = item };
                bool thrown = false;
                try
                {
                    ParallelTeam.Run(&Visit, &job, 100);
                }
                catch (InvalidOperationException e)
                {
                    thrown = e.Message == $"item {item}";
                }
                Assert.True(thrown);
            }
            var good = new Job { Visits = p, Throws = -1 };
            ParallelTeam.Run(&Visit, &good, 100);
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_condition_is_asked_of_every_item(string kind)
    {
        ParallelTeam.Kind = Enum.Parse<TeamKind>(kind);
        set_num_threads(3);
        int asked = 0;
        Assert.True(ParallelTeam.All(_ => Interlocked.Increment(ref asked) > 0, 1000, parallel: true));
        Assert.Equal(1000, asked);
        for (int wrong = 0; wrong < 1000; wrong += 333) Assert.False(ParallelTeam.All(i => i != wrong, 1000, parallel: true));
        Assert.True(ParallelTeam.All(_ => false, 0, parallel: true));
        Assert.Throws<FormatException>(() => ParallelTeam.All(_ => throw new FormatException(), 10, parallel: true));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_job_within_a_job_runs(string kind)
    {
        ParallelTeam.Kind = Enum.Parse<TeamKind>(kind);
        var visits = new int[100];
        fixed (int* p = visits)
        {
            var job = new Job { Visits = p, Throws = -1 };
            ParallelTeam.Run(&Nested, &job, 10);
        }
        Assert.All(visits, v => Assert.Equal(10, v));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_dispatch_allocates_nothing(string kind)
    {
        ParallelTeam.Kind = Enum.Parse<TeamKind>(kind);
        var visits = new int[64];
        fixed (int* p = visits)
        {
            var job = new Job { Visits = p, Throws = -1 };
            for (int i = 0; i < 20; i++) ParallelTeam.Run(&Visit, &job, 64);
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 100; i++) ParallelTeam.Run(&Visit, &job, 64);
            long bytes = GC.GetAllocatedBytesForCurrentThread() - before;
            // The pool's own queue grows by a segment now and then.
            Assert.True(bytes <= (kind == nameof(TeamKind.ThreadPool) ? 20_000 : 0), $"{bytes} bytes");
        }
    }

    [Fact]
    public void Several_threads_run_jobs_at_once_under_collections()
    {
        foreach (var kind in new[] { TeamKind.OpenMP, TeamKind.ThreadPool })
        {
            ParallelTeam.Kind = kind;
            var sums = new int[3];
            var threads = Enumerable.Range(0, 3).Select(t => new Thread(() => sums[t] = ManyJobs())).ToList();
            threads.ForEach(t => t.Start());
            for (int i = 0; i < 20; i++) GC.Collect();
            threads.ForEach(t => t.Join());
            Assert.All(sums, s => Assert.Equal(500 * 16, s));
        }
    }

    private static int ManyJobs()
    {
        var visits = new int[16];
        fixed (int* p = visits)
        {
            var job = new Job { Visits = p, Throws = -1 };
            for (int i = 0; i < 500; i++) ParallelTeam.Run(&Visit, &job, 16);
        }
        return visits.Sum();
    }

    private static void Visit(void* context, int first, int last)
    {
        var job = (Job*)context;
        Interlocked.Increment(ref job->Calls);
        for (int i = first; i < last; i++)
        {
            if (i == job->Throws) throw new InvalidOperationException($"item {i}");
            Interlocked.Increment(ref job->Visits[i]);
        }
    }

    private static void Nested(void* context, int first, int last)
    {
        for (int i = first; i < last; i++) ParallelTeam.Run(&Visit, context, 100);
    }
}
