internal import BongsuSeries
internal import Foundation
internal import Synchronization

/// One evaluation of a rule group: the engine afterwards, and what came of it.
struct GroupEvaluation: Sendable {
  var engine: RuleEngine
  var transitions: [AlertTransition] = []
  /// Keys of rules whose alerts have to be saved although nothing is told of them: a timer began or ended.
  var changed: Set<String> = []
  var evaluations = 0
  var failures = 0
  /// Failures that are new, one line each.
  var complaints: [String] = []

  init(engine: RuleEngine) { self.engine = engine }

  /// Evaluates all rules of a group in order.
  mutating func run(_ group: Int, at time: Int64, _ inputs: AlertRunner.Inputs, isAfterRestart: Bool) {
    let clock = ContinuousClock()
    let definition = engine.groups[group].state.group
    var seconds: [Double] = []
    for rule in definition.rules.indices {
      let start = clock.now
      let before = engine.groups[group].health[rule]
      let timers = engine.groups[group].state.alerting[rule].timers
      transitions += engine.evaluate(
        group, rule, at: time, over: inputs.source, isAfterRestart: isAfterRestart,
        circumstances: inputs.circumstances
      ) { outputs in try inputs.source.written.append(outputs, at: time) }
      if engine.groups[group].state.alerting[rule].timers != timers {
        changed.insert(engine.groups[group].keys[rule].text)
      }
      let taken = start.duration(to: clock.now)
      seconds.append(Double(taken.components.seconds) + Double(taken.components.attoseconds) * 1e-18)
      evaluations += 1
      let health = engine.groups[group].health[rule]
      failures += health.failures - before.failures
      if let error = health.lastError, error != before.lastError {
        complaints.append("rule '\(definition.rules[rule].name)' of group '\(definition.name)' failed: \(error)")
      }
    }
    engine.finish(group, at: time, seconds: seconds)
  }
}

/// The thread that evaluates groups which read more than what is in memory, one after the other.
///
/// Thread rule: ``start(_:_:)`` once, ``stop()`` once after it; ``evaluate(_:at:isAfterRestart:)`` from any thread.
final class SlowGroups: Sendable {
  private struct Job: Sendable {
    let engine: RuleEngine
    let time: Int64
    let isAfterRestart: Bool
  }

  private let jobs = Mutex<(waiting: [Job], isStopping: Bool)>(([], false))
  private let bell = DispatchSemaphore(value: 0)

  /// Begins; each evaluation is given to `done`. The stream ends with the thread.
  func start(
    _ inputs: AlertRunner.Inputs, _ done: @escaping @Sendable (GroupEvaluation) -> Void
  ) -> AsyncStream<Void> {
    let ended = AsyncStream<Void>.makeStream()
    let thread = Thread { [self] in
      while true {
        bell.wait()
        let job = jobs.withLock { jobs -> Job? in
          guard !jobs.isStopping, !jobs.waiting.isEmpty else { return nil }
          return jobs.waiting.removeFirst()
        }
        // Each job rings once, so that a bell without one is the end.
        guard let job else { break }
        var evaluation = GroupEvaluation(engine: job.engine)
        var held = inputs
        held.source = inputs.source.holding(job.engine.groups[0].state.group.rules, at: job.time)
        evaluation.run(0, at: job.time, held, isAfterRestart: job.isAfterRestart)
        done(evaluation)
      }
      ended.continuation.finish()
    }
    thread.name = "alerts-slow"
    thread.stackSize = 16 << 20
    thread.start()
    return ended.stream
  }

  /// Has the only group of a lent engine evaluated.
  func evaluate(_ lent: RuleEngine, at time: Int64, isAfterRestart: Bool) {
    jobs.withLock { $0.waiting.append(Job(engine: lent, time: time, isAfterRestart: isAfterRestart)) }
    bell.signal()
  }

  /// Ends after the evaluation that runs.
  func stop() {
    jobs.withLock { $0.isStopping = true }
    bell.signal()
  }
}
