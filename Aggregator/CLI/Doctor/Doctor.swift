internal import BongsuReports

/// Judges the facts of a visit. Pure: the same facts always give the same checks, in the same order.
enum Doctor {
  static func diagnosis(_ facts: DoctorFacts) -> Diagnosis {
    guard let status = facts.status.value else {
      guard case .unknown(let reason) = facts.status else { return Diagnosis(checks: []) }
      return Diagnosis(checks: [
        .finding("connection", reason, nextStep: "start the aggregator, or give its address by --url or BONGSU_URL")
      ])
    }
    var checks = [connection(facts), ready(status)] + versions(facts, status) + clocks(facts)
    checks += flow(status)
    guard status.matchers == nil else {
      checks.append(
        .unknown("machine", "journal, disk, alerts and tokens are not for this token; use one of the whole"))
      return Diagnosis(checks: checks)
    }
    checks += [journal(status.journal), disk(facts, status)] + forecast(facts) + fleet(facts, status) + expiry(facts)
    checks += [descriptors(status)] + alerts(facts)
    return Diagnosis(checks: checks)
  }

  // MARK: Connection, versions, clocks

  private static func connection(_ facts: DoctorFacts) -> DoctorCheck {
    let value = "\(facts.address) answered in \(UnitText.lag(milliseconds: facts.roundTripMilliseconds))"
    let limit = UnitText.lag(milliseconds: DoctorLimits.answerMilliseconds)
    return facts.roundTripMilliseconds <= DoctorLimits.answerMilliseconds
      ? .fine("connection", value, limit: limit)
      : .finding("connection", value, limit: limit, nextStep: "look at the load of its machine and of the network")
  }

  private static func ready(_ status: StatusReport) -> DoctorCheck {
    guard let reason = status.ready.reason else {
      return status.ready == .stopping
        ? .finding("state", "stopping", limit: "ready", nextStep: "start it again if nobody stopped it on purpose")
        : .fine("state", "ready, up \(UnitText.duration(seconds: status.uptimeSeconds))", limit: "ready")
    }
    return .finding(
      "state", "\(status.ready.word): \(reason)", limit: "ready",
      nextStep: status.ready.isReady ? "mend what it names" : "wait until it is done, then ask again")
  }

  private static func versions(_ facts: DoctorFacts, _ status: StatusReport) -> [DoctorCheck] {
    var checks = [
      facts.version == status.version
        ? DoctorCheck.fine("version", "aggregator and command are \(status.version)")
        : .finding(
          "version", "aggregator \(status.version), command \(facts.version)", limit: "the same release",
          nextStep: "install the package bongsu-cli of the aggregator's release here")
    ]
    guard let nodes = value(facts.nodes, "agent-versions", &checks) else { return checks }
    let others = nodes.nodes.filter { $0.state == .connected && $0.agentVersion.map { $0 != status.version } ?? false }
    let connected = nodes.nodes.count { $0.state == .connected }
    checks.append(
      others.isEmpty
        ? .fine("agent-versions", "\(UnitText.count(Int64(connected))) agents are \(status.version)")
        : .finding(
          "agent-versions",
          "\(some(others.count, "agent is", "agents are")) of another release: "
            + names(others.map { "\($0.id) \($0.agentVersion ?? "")" }),
          limit: status.version, nextStep: "upgrade the package bongsu-agent there"))
    return checks
  }

  private static func clocks(_ facts: DoctorFacts) -> [DoctorCheck] {
    let limit = UnitText.lag(milliseconds: DoctorLimits.clockMilliseconds)
    var checks: [DoctorCheck] = []
    if let offset = facts.clockOffsetMilliseconds {
      // The answer's own way may have taken this long: less cannot be told from it.
      let isOff = abs(offset) - facts.roundTripMilliseconds / 2 > DoctorLimits.clockMilliseconds
      let value = "the aggregator's clock minus this one: \(UnitText.lag(milliseconds: offset))"
      checks.append(
        isOff
          ? .finding(
            "clock", value, limit: limit, nextStep: "see `timedatectl` on both machines; one has no time server")
          : .fine("clock", value, limit: limit))
    } else {
      checks.append(.unknown("clock", "no tick has closed yet, so the aggregator's clock is not known"))
    }
    guard let nodes = value(facts.nodes, "agent-clocks", &checks) else { return checks }
    let measured = nodes.nodes.filter { $0.state == .connected && $0.skewMilliseconds != nil }
    let off = measured.filter { abs($0.skewMilliseconds ?? 0) > DoctorLimits.clockMilliseconds }
    let worst = measured.max { abs($0.skewMilliseconds ?? 0) < abs($1.skewMilliseconds ?? 0) }
    checks.append(
      off.isEmpty
        ? .fine(
          "agent-clocks", "worst of \(measured.count): \(UnitText.lag(milliseconds: worst?.skewMilliseconds))",
          limit: limit)
        : .finding(
          "agent-clocks",
          "\(some(off.count, "node is", "nodes are")) off: "
            + names(off.map { "\($0.id) \(UnitText.lag(milliseconds: $0.skewMilliseconds))" }),
          limit: limit,
          nextStep: "give these nodes a time server; until then their ticks are shifted to the aggregator's time"))
    return checks
  }

  private static func flow(_ status: StatusReport) -> [DoctorCheck] {
    guard let lag = status.lagMilliseconds else {
      return [
        status.nodes.connected > 0
          ? .unknown("ticks", "none has closed yet")
          : .finding(
            "ticks", "no agent has delivered anything",
            nextStep: "start agents, or enrol them: `bongsu join-token create`")
      ]
    }
    let limit = UnitText.lag(milliseconds: DoctorLimits.lagMilliseconds)
    let value = "the newest closed one is \(UnitText.lag(milliseconds: lag)) old"
    return [
      lag <= DoctorLimits.lagMilliseconds
        ? .fine("ticks", value, limit: limit)
        : .finding(
          "ticks", value, limit: limit,
          nextStep: status.nodes.connected == 0
            ? "no agent is connected: see the network to port 7420" : "look at the load of the aggregator's machine")
    ]
  }

  // MARK: Disk

  private static func journal(_ journal: JournalFigures) -> DoctorCheck {
    let pending = "\(UnitText.count(journal.pendingRecords)) records wait"
    let commit =
      journal.commitMilliseconds.map { ", the last commits took \(UnitText.lag(milliseconds: Int64($0)))" } ?? ""
    let limit = "\(UnitText.lag(milliseconds: Int64(DoctorLimits.commitMilliseconds))) a commit"
    switch journal.state {
    case .off:
      return .finding(
        "journal", "there is none: a restart loses everything", nextStep: "start the aggregator with --data DIR")
    case .stalled:
      return .finding(
        "journal", "stalled: \(journal.reason ?? "no reason told")", limit: "writing",
        nextStep: "make room or mend the disk; agents keep their data until then")
    case .writing:
      return (journal.commitMilliseconds ?? 0) <= DoctorLimits.commitMilliseconds
        ? .fine("journal", pending + commit, limit: limit)
        : .finding(
          "journal", pending + commit, limit: limit,
          nextStep: "the disk is slow: see what else writes to it, `iostat -x 1`")
    }
  }

  private static func disk(_ facts: DoctorFacts, _ status: StatusReport) -> DoctorCheck {
    let limit = "\(Int(DoctorLimits.daysUntilFull)) days until full"
    guard let storage = facts.storage.value else {
      guard case .unknown(let reason) = facts.storage else { return .unknown("disk", "") }
      let free = status.journal.freeBytes.map { "; \(UnitText.bytes(Double($0))) are free" } ?? ""
      return .unknown("disk", "no forecast: \(reason)\(free)")
    }
    let stored = storage.parts.reduce(Int64(0)) { $0 + $1.bytes }
    let daily = storage.parts.compactMap(\.bytesPerDay).reduce(0, +)
    var value = "\(UnitText.bytes(Double(stored))) stored"
    if daily > 0 { value += ", \(UnitText.bytes(Double(daily))) more a day" }
    if let free = storage.freeBytes { value += ", \(UnitText.bytes(Double(free))) free" }
    guard let days = storage.daysUntilFull else { return .fine("disk", value, limit: limit) }
    value += ", full in \(Self.days(days))"
    guard days < DoctorLimits.daysUntilFull else { return .fine("disk", value, limit: limit) }
    let largest = storage.parts.max { ($0.bytesPerDay ?? 0) < ($1.bytesPerDay ?? 0) }?.name ?? "raw"
    return .finding(
      "disk", value, limit: limit,
      nextStep: "give it a larger disk, or keep less: most of it is \(largest)")
  }

  /// What a day adds by tier, and for how long the bounds hold; nothing where the aggregator does not tell.
  private static func forecast(_ facts: DoctorFacts) -> [DoctorCheck] {
    guard let storage = facts.storage.value, let bounds = storage.bounds else { return [] }
    var checks: [DoctorCheck] = []
    let rates = storage.parts.compactMap { part -> String? in
      guard let predicted = part.predictedBytesPerDay else { return nil }
      guard let measured = part.bytesPerDay else { return "\(part.name) \(UnitText.bytes(Double(predicted)))" }
      return "\(part.name) \(UnitText.bytes(Double(measured))) measured, \(UnitText.bytes(Double(predicted))) predicted"
    }
    if !rates.isEmpty {
      checks.append(
        .fine(
          "disk-per-day",
          "for \(UnitText.count(Int64(storage.predictedForGPUs ?? 0))) GPUs: " + rates.joined(separator: " · ")))
    }
    for bound in bounds {
      let name = "disk-\(bound.name)"
      let size = UnitText.bytes(Double(bound.bytesMax))
      guard let held = bound.daysHeld else {
        checks.append(.unknown(name, "\(size) are allowed; how long they hold is not known yet"))
        continue
      }
      var value = "\(size) are allowed and hold \(days(held))"
      if let reached = bound.daysUntilReached, reached > 0 { value += ", reached in \(days(reached))" }
      let limit = "\(days(DoctorLimits.daysHeld)) held"
      checks.append(
        held >= DoctorLimits.daysHeld
          ? .fine(name, value, limit: limit)
          : .finding(
            name, value, limit: limit,
            nextStep:
              "give a larger disk and --\(bound.name == "raw" ? "raw" : "tier")-bytes, or expect no more than that"))
    }
    if let waiting = storage.minutesWaiting, waiting > 0 {
      checks.append(.fine("rollups", "\(UnitText.count(Int64(waiting))) minutes wait to be formed"))
    }
    if let staying = storage.minutesNotRestated, staying > 0 {
      checks.append(
        .finding(
          "rollups-kept",
          "\(UnitText.count(Int64(staying))) minutes were to be formed anew and stay, since raw rows of them are lost",
          limit: "0",
          nextStep: "the log names the damaged files; late rows and restatements of these hours do not count"))
    }
    return checks
  }

  private static func days(_ days: Double) -> String {
    days < 10 ? UnitText.duration(seconds: Int64(days * 86_400)) : "\(Int(days)) d"
  }

  // MARK: Fleet

  private static func fleet(_ facts: DoctorFacts, _ status: StatusReport) -> [DoctorCheck] {
    let counts = status.nodes
    var checks = [
      counts.unassigned == 0
        ? DoctorCheck.fine("unassigned", "every node that delivers has a place in the fleet file")
        : .finding(
          "unassigned",
          "\(some(counts.unassigned, "node delivers", "nodes deliver")) without a place: \(names(counts.unassignedNames, of: counts.unassigned))",
          limit: "0", nextStep: "add them to the fleet file, or stop their agents")
    ]
    if let shared = status.refused.first(where: { $0.reason == "cloned_key" })?.nextStep {
      checks.append(.finding("duplicates", "two machines speak with one key", limit: "0", nextStep: shared))
    } else {
      checks.append(.fine("duplicates", "no two machines speak with one key"))
    }
    guard let nodes = value(facts.nodes, "silent", &checks) else { return checks }
    let silent = nodes.nodes.filter { $0.state == .silent }
    checks.append(
      silent.isEmpty
        ? .fine("silent", "every node that ever delivered is connected")
        : .finding(
          "silent", "\(some(silent.count, "node is", "nodes are")) not connected any more: \(names(silent.map(\.id)))",
          limit: "0",
          nextStep: "see `systemctl status bongsu-agent` there; `bongsu nodes list --state silent` names them all"))
    let missing = nodes.nodes.filter { $0.state == .missing }
    checks.append(
      missing.isEmpty
        ? .fine("missing", "every node in service has delivered")
        : .finding(
          "missing", "\(some(missing.count, "node", "nodes")) in service never came: \(names(missing.map(\.id)))",
          limit: "0",
          nextStep: "install and enrol agents there, or correct in_service in the fleet file"))
    return checks
  }

  // MARK: What ends

  private static func expiry(_ facts: DoctorFacts) -> [DoctorCheck] {
    let limit = "\(DoctorLimits.expiryDays) days left"
    let now = facts.nowUnixMilliseconds
    var checks: [DoctorCheck] = []
    switch facts.certificateExpirySeconds {
    case .unknown(let reason): checks.append(.unknown("certificate", reason))
    case .known(nil): checks.append(.fine("certificate", "none: HTTP is served without encryption"))
    case .known(let seconds?):
      let left = Int64(seconds) - now / 1000
      let value =
        left > 0 ? "ends in \(UnitText.duration(seconds: left))" : "ended \(UnitText.duration(seconds: -left)) ago"
      checks.append(
        left > Int64(DoctorLimits.expiryDays) * 86_400
          ? .fine("certificate", value, limit: limit)
          : .finding(
            "certificate", value, limit: limit, nextStep: "renew it, then `systemctl reload bongsu-aggregator`"))
    }
    guard let list = value(facts.tokens, "tokens", &checks) else { return checks }
    let soon = list.tokens.filter { token in
      guard token.state == .active, let end = token.expiresUnixMilliseconds else { return false }
      return end - now <= Int64(DoctorLimits.expiryDays) * 86_400_000
    }
    let active = list.tokens.count { $0.state == .active }
    checks.append(
      soon.isEmpty
        ? .fine("tokens", "\(some(active, "token", "tokens")) in use, none ends soon", limit: limit)
        : .finding(
          "tokens",
          "\(some(soon.count, "token ends", "tokens end")) soon: "
            + names(
              soon.map {
                "\($0.name) in \(UnitText.duration(seconds: max(0, (($0.expiresUnixMilliseconds ?? now) - now) / 1000)))"
              }),
          limit: limit, nextStep: "make new ones with `bongsu token create` and hand them over before that"))
    return checks
  }

  private static func descriptors(_ status: StatusReport) -> DoctorCheck {
    guard let figures = status.descriptors else { return .unknown("descriptors", "the aggregator does not tell") }
    // Each further node takes one; the nodes that are expected must fit beside what is open now.
    let awaited = max(0, status.nodes.expected - status.nodes.connected)
    let value = "\(UnitText.count(figures.used)) open, \(UnitText.count(Int64(awaited))) nodes still to come"
    let limit = "\(UnitText.count(figures.limit)) allowed"
    return figures.used + Int64(awaited) <= figures.limit
      ? .fine("descriptors", value, limit: limit)
      : .finding(
        "descriptors", value, limit: limit,
        nextStep: "set LimitNOFILE=\(figures.used + Int64(awaited) + 1024) in the unit of bongsu-aggregator")
  }

  private static func alerts(_ facts: DoctorFacts) -> [DoctorCheck] {
    var checks: [DoctorCheck] = []
    guard let list = value(facts.alerts, "receivers", &checks) else { return checks }
    let failing = list.receivers.filter(\.isFailing)
    if let worst = failing.first {
      checks.append(
        .finding(
          "receivers",
          "\(names(failing.map(\.name))) cannot be reached: \(worst.lastFailure ?? "no reason told"); \(UnitText.count(Int64(worst.waiting))) wait",
          limit: "0 failing", nextStep: "mend the receiver; what waits is delivered then"))
    } else {
      checks.append(
        list.receivers.isEmpty
          ? .finding(
            "receivers", "alerts go nowhere", limit: "at least 1",
            nextStep: "give --alertmanager http://HOST:9093, or name a webhook in the file of --alerting")
          : .fine("receivers", "\(some(list.receivers.count, "receiver takes", "receivers take")) alerts"))
    }
    let broken = list.failingRules + list.fileFailures
    checks.append(
      broken.isEmpty
        ? .fine(
          "rules", "\(UnitText.count(Int64(list.rules))) in \(some(list.groups, "group", "groups")) are evaluated")
        : .finding(
          "rules", "\(some(broken.count, "fails", "fail")): \(names(broken))", limit: "0",
          nextStep: "`bongsu rules check FILE` names the place"))
    if let failure = list.saveFailure {
      checks.append(
        .finding("alert-state", failure, nextStep: "make room or mend the disk; a restart would forget pending alerts"))
    }
    return checks
  }

  // MARK: Words

  /// The value, or a check that says why it is not known.
  private static func value<Value>(
    _ answer: DoctorFacts.Answer<Value>, _ check: String, _ checks: inout [DoctorCheck]
  ) -> Value? {
    if case .unknown(let reason) = answer { checks.append(.unknown(check, reason)) }
    return answer.value
  }

  private static func some(_ count: Int, _ one: String, _ many: String) -> String {
    "\(UnitText.count(Int64(count))) \(count == 1 ? one : many)"
  }

  /// The first few of `names`, of which there are `count`.
  private static func names(_ names: [String], of count: Int? = nil) -> String {
    let shown = names.prefix(DoctorLimits.namesShown)
    let more = (count ?? names.count) - shown.count
    return shown.joined(separator: ", ") + (more > 0 ? " and \(UnitText.count(Int64(more))) more" : "")
  }
}

/// From where on `bongsu doctor` has something to say.
enum DoctorLimits {
  /// An answer about the state takes a few milliseconds; people notice this.
  static let answerMilliseconds: Int64 = 2000
  /// Beyond this ticks are shifted to the aggregator's time.
  static let clockMilliseconds: Int64 = 2000
  /// A tick closes one interval after its time at the latest; ten seconds is the longest interval there is.
  static let lagMilliseconds: Int64 = 20_000
  /// Agents spool what is not acknowledged within five seconds.
  static let commitMilliseconds = 1000.0
  /// Two weeks are enough for people to bring a disk.
  static let daysUntilFull = 14.0
  /// Days of raw history, and of rollups, that their bytes should hold.
  static let daysHeld = 1.0
  /// Certificates and tokens that end sooner are named.
  static let expiryDays = 14
  static let namesShown = 3
}
