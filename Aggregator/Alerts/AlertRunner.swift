internal import BongsuQuery
public import BongsuSeries
internal import Foundation
public import Logging
internal import Synchronization

/// Alarms as a running thing: evaluates rules each time the data is complete up to another tick, saves what changed, and
/// has it delivered.
///
///     tick closed ──▶ thread: evaluate ─▶ save (one transaction) ─▶ each receiver's queue ─▶ POST
///                        │      ▲
///                        ▼      │ state and transitions
///                     slow thread: groups that read more than what is in memory
///
/// Evaluation and saving have a thread of their own, groups that read every GPU or the store another; receivers are
/// tasks, each with its own queue, so that none waits for another.
///
/// Thread rule: ``run()`` once; everything else from any thread.
public final class AlertRunner: Sendable {
  /// What rules can read, and what is known of the data.
  public struct Inputs: Sendable {
    public var source: RuleSource
    /// What is known of the GPUs behind an alert, by its labels. Asked often; must be quick.
    public var circumstances: @Sendable (LabelSet) -> RuleEngine.Circumstances
    /// Told which metrics rules read, with how far back in milliseconds, before the first evaluation and after a reload.
    public var prepare: @Sendable ([String: Int64]) -> Void

    /// `circumstances` and `prepare` may be called on any thread.
    public init(
      source: RuleSource, circumstances: @escaping @Sendable (LabelSet) -> RuleEngine.Circumstances,
      prepare: @escaping @Sendable ([String: Int64]) -> Void
    ) {
      self.source = source
      self.circumstances = circumstances
      self.prepare = prepare
    }
  }

  /// How everything stands.
  public struct Snapshot: Sendable {
    public var groups: [RuleEngine.Group] = []
    /// Time of the data that was evaluated last; `nil` before.
    public var time: Int64?
    /// Whether coverage and loss rules wait for agents after a start.
    public var isAfterRestart = true
    /// What was wrong when rules were loaded last; empty when all was well.
    public var loadFailures: [String] = []
    public var remarks: [String] = []
    /// Why changes cannot be saved; `nil` while all is well.
    public var saveFailure: String?
    /// Evaluations of rules since the start, and how many of them failed.
    public var evaluations = 0
    public var failures = 0
  }

  private struct Inbox {
    var time: Int64?
    var done: [Int64] = []
    var reloads: [CheckedContinuation<RuleFileFailures?, Never>] = []
    /// What the slow thread has evaluated.
    var evaluated: [GroupEvaluation] = []
    var isStopping = false
  }

  private let configuration: AlertingConfiguration
  private let persistence: any AlertPersistence
  private let inputs: Inputs
  private let logger: Logger
  private let inbox = Mutex(Inbox())
  private let bell = DispatchSemaphore(value: 0)
  private let slow = SlowGroups()
  private let published: Mutex<Snapshot>
  private let deliverers: [Deliverer]
  private let externalLabels: [String: String]

  /// Reads rules, saved state and receivers' files; nothing runs yet. Broken rule files are left out and said.
  public init(
    _ configuration: AlertingConfiguration, persistence: any AlertPersistence, inputs: Inputs, logger: Logger
  ) throws {
    self.configuration = configuration
    self.persistence = persistence
    self.inputs = inputs
    self.logger = logger
    published = Mutex(Snapshot())
    externalLabels = AlertTransition.dictionary(configuration.externalLabels)
    let inboxes = DoneList()
    deliverers = try configuration.receivers.map { settings in
      try Deliverer(settings, externalURL: configuration.externalURL, logger: logger) { inboxes.add($0) }
    }
    inboxes.connect { [weak self] numbers in self?.note(done: numbers) }
  }

  /// Says that the data is complete up to `time`, milliseconds since 1970.
  public func tickClosed(_ time: Int64) {
    inbox.withLock { $0.time = max($0.time ?? .min, time) }
    bell.signal()
  }

  /// Reads the rule files again. Returns what is wrong; the rules in use stay then.
  public func reload() async -> RuleFileFailures? {
    await withCheckedContinuation { continuation in
      let isStopping = inbox.withLock { inbox in
        if !inbox.isStopping { inbox.reloads.append(continuation) }
        return inbox.isStopping
      }
      if isStopping { continuation.resume(returning: nil) } else { bell.signal() }
    }
  }

  /// How everything stands.
  public var snapshot: Snapshot { published.withLock { $0 } }

  /// Transitions, newest first.
  public func history(from start: Int64, through end: Int64, limit: Int) throws -> [AlertTransition] {
    try persistence.history(from: start, through: end, limit: limit)
  }

  /// How receivers do, in the order of the configuration.
  public func receivers() async -> [ReceiverReport] {
    var reports: [ReceiverReport] = []
    for deliverer in deliverers { reports.append(await deliverer.report()) }
    return reports
  }

  /// How the delivery of an alert stands, by receiver.
  public func deliveries(of labels: LabelSet) async -> [(receiver: String, state: DeliveryQueue.State)] {
    let identity = externalLabels.merging(AlertTransition.dictionary(labels.allLabels)) { _, own in own }
    var states: [(receiver: String, state: DeliveryQueue.State)] = []
    for deliverer in deliverers {
      if let state = await deliverer.state(of: identity) { states.append((deliverer.settings.name, state)) }
    }
    return states
  }

  /// Evaluates and delivers until the task is cancelled.
  public func run() async throws {
    let core = await start()
    let ended = AsyncStream<Void>.makeStream()
    let thread = Thread {
      self.loop(core)
      ended.continuation.finish()
    }
    thread.name = "alerts"
    // Expressions are evaluated recursively; see QueryLimits.expressionDepthMax.
    thread.stackSize = 16 << 20
    thread.start()
    let inputs = inputs
    let slowEnded = slow.start(inputs) { [weak self] evaluation in
      self?.inbox.withLock { $0.evaluated.append(evaluation) }
      self?.bell.signal()
    }
    await withTaskGroup(of: Void.self) { group in
      for deliverer in deliverers { group.addTask { await deliverer.run() } }
      if deliverers.isEmpty {
        group.addTask { while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) } }
      }
      await group.waitForAll()
    }
    inbox.withLock { $0.isStopping = true }
    bell.signal()
    slow.stop()
    // Not cancellable: the threads end by themselves within one evaluation.
    await Task.detached {
      for await _ in ended.stream {}
      for await _ in slowEnded {}
    }.value
  }

  // MARK: - start

  private func start() async -> AlertingCore {
    var engine = RuleEngine(
      defaultIntervalMilliseconds: configuration.evaluationIntervalMilliseconds,
      environment: TemplateEnvironment(
        externalLabels: LabelSet(configuration.externalLabels), externalURL: configuration.externalURL))
    if case .success(let loaded) = RuleLoading.load(configuration, skipsBroken: true) {
      _ = engine.replace(loaded.files, at: 0)
      for failure in loaded.failures { logger.error("rules: \(failure); the file is left out") }
      for remark in loaded.remarks { logger.warning("rules: \(remark)") }
      published.withLock { snapshot in
        snapshot.loadFailures = loaded.failures.map(\.description)
        snapshot.remarks = loaded.remarks
      }
      logger.info("rules loaded", metadata: ["files": "\(loaded.files.count)", "rules": "\(loaded.ruleCount)"])
    }
    var saved = SavedAlerting()
    do { saved = try persistence.load() } catch {
      logger.critical("the saved state of alerts cannot be read, alerts begin anew: \(error)")
      published.withLock { $0.saveFailure = "\(error)" }
    }
    for line in saved.damage { logger.warning("saved alerts: \(line)") }
    let orphans = engine.restore(saved.alerts)
    var core = AlertingCore(engine: engine, savedCoverage: saved.coverage)
    core.orphans = orphans
    await restoreDeliverers(saved, engine, &core)
    prepareReading(&core)
    published.withLock { [groups = core.engine.groups] in $0.groups = groups }
    return core
  }

  private func restoreDeliverers(_ saved: SavedAlerting, _ engine: RuleEngine, _ core: inout AlertingCore) async {
    let firing = engine.alerts().compactMap { entry -> AlertEvent? in
      guard entry.alert.phase == .firing, let firedAt = entry.alert.firedAt else { return nil }
      let rule = entry.group.state.group.rules[entry.rule]
      return AlertEvent(
        labels: AlertTransition.dictionary(entry.alert.labels.allLabels),
        annotations: AlertTransition.dictionary(entry.alert.annotations), startsAt: firedAt, resolvedAt: nil,
        value: entry.alert.value.isFinite ? entry.alert.value : nil, group: entry.group.state.group.name,
        coverage: entry.alert.coverageAtFiring, estimatedShare: nil, expression: rule.source,
        externalLabels: externalLabels, externalURL: configuration.externalURL)
    }
    let names = Set(deliverers.map(\.settings.name))
    for deliverer in deliverers {
      let waiting = saved.events.filter { $0.receiver == deliverer.settings.name }
      await deliverer.restore(firing)
      deliverer.post(waiting.map { DeliveryQueue.Entry(number: $0.number, event: $0.event) })
    }
    let homeless = saved.events.filter { !names.contains($0.receiver) }
    if !homeless.isEmpty {
      let receivers = Set(homeless.map(\.receiver)).sorted().joined(separator: ", ")
      logger.warning("\(homeless.count) events waited for receivers that are gone: \(receivers); they are dropped")
      core.change.doneEvents += homeless.map(\.number)
    }
  }

  // MARK: - the thread

  private func note(done numbers: [Int64]) {
    inbox.withLock { $0.done += numbers.filter { $0 > 0 } }
    bell.signal()
  }

  private func loop(_ initial: AlertingCore) {
    var core = initial
    while true {
      bell.wait()
      let work = inbox.withLock { inbox in
        let work = inbox
        inbox = Inbox(isStopping: work.isStopping)
        return work
      }
      core.change.doneEvents += work.done
      for evaluation in work.evaluated {
        core.engine.takeBack(evaluation.engine)
        take(evaluation, &core)
      }
      core.reloads += work.reloads
      // A group that is being evaluated has to be back before its rules can change.
      if !core.reloads.isEmpty, !core.engine.isLending {
        let failures = reload(&core)
        for continuation in core.reloads { continuation.resume(returning: failures) }
        core.reloads = []
      }
      if let time = work.time { evaluate(&core, at: time) }
      save(&core)
      publish(core)
      if work.isStopping {
        for continuation in core.reloads { continuation.resume(returning: nil) }
        return
      }
    }
  }

  private func evaluate(_ core: inout AlertingCore, at time: Int64) {
    let coverage = inputs.circumstances(.empty).coverage
    core.noteTick(time, coverage: coverage, holdMilliseconds: configuration.restartHoldMilliseconds)
    if core.time == nil { try? inputs.source.written.append(core.engine.standingSeries, at: time - 1) }
    for group in core.engine.due(at: time) {
      if core.engine.groups[group].isSlow {
        guard core.reloads.isEmpty else { continue }
        slow.evaluate(core.engine.lend(group), at: time, isAfterRestart: core.isAfterRestart)
        continue
      }
      var evaluation = GroupEvaluation(engine: core.engine)
      evaluation.run(group, at: time, inputs, isAfterRestart: core.isAfterRestart)
      core.engine = evaluation.engine
      take(evaluation, &core)
    }
    if time - core.tidiedAt >= 60_000 {
      inputs.source.written.forgetEnded(at: time)
      core.tidiedAt = time
    }
    if !core.isAfterRestart, !core.orphans.isEmpty { endOrphans(&core, at: time) }
    core.time = time
  }

  private func take(_ evaluation: GroupEvaluation, _ core: inout AlertingCore) {
    core.take(evaluation.transitions, changed: evaluation.changed)
    core.evaluations += evaluation.evaluations
    core.failures += evaluation.failures
    for line in evaluation.complaints { logger.warning("\(line)") }
  }

  /// Has what rules read kept in memory, and sorts out the groups that read more.
  private func prepareReading(_ core: inout AlertingCore) {
    inputs.prepare(core.engine.namesRead)
    let live = inputs.source.live
    core.engine.sortGroups { live.canHold(name: $0) }
  }

  /// Alerts whose rules went away while the aggregator was down are over.
  private func endOrphans(_ core: inout AlertingCore, at time: Int64) {
    for orphan in core.orphans {
      core.change.alerts[orphan.rule] = []
      guard orphan.alert.phase == .firing else { continue }
      core.transitions.append(AlertTransition(endOf: orphan, at: time))
    }
    core.orphans = []
  }

  private func reload(_ core: inout AlertingCore) -> RuleFileFailures? {
    switch RuleLoading.load(configuration) {
    case .failure(let failures):
      for failure in failures.failures { logger.error("rules: \(failure); the rules in use stay") }
      core.loadFailures = failures.failures.map(\.description)
      return failures
    case .success(let loaded):
      let time = core.time ?? 0
      let gone = core.engine.groups.flatMap { $0.keys.map(\.text) }
      let (ended, transitions) = core.engine.replace(loaded.files, at: time)
      try? inputs.source.written.append(ended, at: time)
      core.take(transitions)
      let kept = Set(core.engine.groups.flatMap { $0.keys.map(\.text) })
      for key in gone where !kept.contains(key) { core.change.alerts[key] = [] }
      prepareReading(&core)
      for remark in loaded.remarks { logger.warning("rules: \(remark)") }
      core.loadFailures = []
      published.withLock { $0.remarks = loaded.remarks }
      logger.info("rules loaded", metadata: ["files": "\(loaded.files.count)", "rules": "\(loaded.ruleCount)"])
      return nil
    }
  }

  /// Saves what changed and hands events over; events go out even while nothing can be saved.
  private func save(_ core: inout AlertingCore) {
    let news = core.transitions.compactMap { transition in
      AlertEvent(transition, externalLabels: externalLabels, externalURL: configuration.externalURL)
    }
    for transition in core.transitions where transition.isNews { tell(transition) }
    core.change.transitions += core.transitions
    let events = news.flatMap { event in deliverers.map { (receiver: $0.settings.name, event: event) } }
    core.change.events = events
    core.transitions = []
    guard !core.change.isEmpty else { return }
    var numbers = [Int64](repeating: 0, count: events.count)
    do {
      numbers = try persistence.commit(core.change)
      core.saveFailure = nil
      core.change = AlertingChange()
    } catch {
      if core.saveFailure == nil {
        logger.error("alerts cannot be saved, they go out all the same and saving is tried again: \(error)")
      }
      core.saveFailure = "\(error)"
      core.change.events = []
      core.change.limitHistory()
    }
    for deliverer in deliverers {
      let entries = zip(numbers, events).filter { $0.1.receiver == deliverer.settings.name }
        .map { DeliveryQueue.Entry(number: $0.0, event: $0.1.event) }
      if !entries.isEmpty { deliverer.post(entries) }
    }
  }

  private func tell(_ transition: AlertTransition) {
    let labels = LabelSet(transition.labels.map { Label(name: $0.key, value: $0.value) }).removing(["alertname"])
    logger.notice(
      "alert \(transition.to == .firing ? "fires" : "is over"): \(transition.alertName) \(labels)",
      metadata: ["value": "\(transition.value.map { "\($0)" } ?? "none")"])
  }

  private func publish(_ core: AlertingCore) {
    published.withLock { snapshot in
      snapshot.groups = core.engine.groups
      snapshot.time = core.time
      snapshot.isAfterRestart = core.isAfterRestart
      snapshot.saveFailure = core.saveFailure
      snapshot.evaluations = core.evaluations
      snapshot.failures = core.failures
      if let failures = core.loadFailures { snapshot.loadFailures = failures }
    }
  }
}

/// What receivers have finished, on its way to the thread: connected after both ends exist.
private final class DoneList: Sendable {
  private let target = Mutex<(@Sendable ([Int64]) -> Void)?>(nil)

  func connect(_ target: @escaping @Sendable ([Int64]) -> Void) { self.target.withLock { $0 = target } }

  func add(_ numbers: [Int64]) { target.withLock { $0 }?(numbers) }
}
