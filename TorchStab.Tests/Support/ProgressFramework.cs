using System.Reflection;
using Xunit.Abstractions;
using Xunit.Sdk;

[assembly: TestFramework("TorchStab.Tests.Support.ProgressFramework", "TorchStab.Tests")]

namespace TorchStab.Tests.Support;

/// <summary>
/// xUnit as it is, which also says every few seconds how many tests are done, and each reason why a test was not run: without that a run is silent for
/// minutes and names what it skipped without a reason.
/// </summary>
public sealed class ProgressFramework(IMessageSink diagnostics) : XunitTestFramework(diagnostics)
{
    protected override ITestFrameworkExecutor CreateExecutor(AssemblyName assemblyName) =>
        new Executor(assemblyName, SourceInformationProvider, DiagnosticMessageSink);

    private sealed class Executor(AssemblyName name, ISourceInformationProvider sources, IMessageSink diagnostics)
        : XunitTestFrameworkExecutor(name, sources, diagnostics)
    {
        protected override void RunTestCases(IEnumerable<IXunitTestCase> testCases, IMessageSink executionMessageSink,
            ITestFrameworkExecutionOptions executionOptions)
        {
            var cases = testCases.ToList();
            var counter = new Counter(cases.Count, executionMessageSink, DiagnosticMessageSink);
            DisposalTracker.Add(counter);
            base.RunTestCases(cases, counter, executionOptions);
        }
    }

    /// <summary>Hands every message on; counts finished cases until the assembly's end.</summary>
    private sealed class Counter : LongLivedMarshalByRefObject, IMessageSink, IDisposable
    {
        private static readonly TimeSpan First = TimeSpan.FromSeconds(5), Every = TimeSpan.FromSeconds(10);
        private readonly IMessageSink _next, _diagnostics;
        private readonly HashSet<string> _reasons = [];
        private readonly Timer _timer;
        private int _done;

        public Counter(int count, IMessageSink next, IMessageSink diagnostics)
        {
            (_next, _diagnostics) = (next, diagnostics);
            _timer = new Timer(_ => diagnostics.OnMessage(new DiagnosticMessage($"{_done} of {count} test cases done")), null, First, Every);
        }

        public bool OnMessage(IMessageSinkMessage message)
        {
            if (message is ITestCaseFinished) Interlocked.Increment(ref _done);
            if (message is ITestSkipped skipped) Explain(skipped.Reason);
            if (message is ITestAssemblyFinished) Dispose();
            return _next.OnMessage(message);
        }

        private void Explain(string reason)
        {
            lock (_reasons)
                if (_reasons.Add(reason)) _diagnostics.OnMessage(new DiagnosticMessage($"[SKIP] {reason}"));
        }

        public void Dispose() => _timer.Dispose();
    }
}
