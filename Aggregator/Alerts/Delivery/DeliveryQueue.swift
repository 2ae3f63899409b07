/// What is still to be told to one receiver, as a value: takes events and outcomes, says what to send next and when.
///
/// Events go out in the order in which they happened; at most one event of an alert stands in a request, so that an alert
/// that began and ended during an outage is told twice, in order. An outage delays events and loses none, up to the
/// bound; refused events (4xx) are dropped by name, one at a time, so that one bad alert does not take others with it.
///
/// A receiver that forgets (Alertmanager) is told again of firing alerts every `resend`, and of resolved ones for five
/// minutes.
public struct DeliveryQueue: Sendable {
  public struct Settings: Sendable {
    /// Time between two tellings of a firing alert, milliseconds; `nil`: told once.
    public var resendMilliseconds: Int64?
    /// Wait after the first failure and the longest one; doubled in between.
    public var backOffMilliseconds: Int64 = 500
    public var backOffMillisecondsMax: Int64 = 5_000
    /// Whether the end of an alert is told.
    public var sendsResolved = true
    public var entriesMax = AlertLimits.queueEntriesMax
    public var batchMax = AlertLimits.batchAlertsMax

    public init() {}
  }

  /// An event that waits, with its number on disk (0: not on disk).
  public struct Entry: Sendable {
    public let number: Int64
    public let event: AlertEvent

    public init(number: Int64, event: AlertEvent) {
      self.number = number
      self.event = event
    }
  }

  /// Events that go out together.
  public struct Batch: Sendable {
    public let events: [AlertEvent]
    /// Whether all of it was told before.
    public let isRepetition: Bool
    fileprivate let count: Int
  }

  /// What became of a batch.
  public enum Outcome: Sendable, Hashable {
    case delivered
    /// To be tried again: an outage, or a receiver that is overloaded.
    case failed(String)
    /// Not to be tried again.
    case refused(String)
  }

  /// How the delivery of one alert stands.
  public enum State: String, Sendable, Codable {
    case waiting, delivered, refused
  }

  private struct Known {
    var event: AlertEvent
    /// `nil`: never, or not since the start.
    var sentAt: Int64?
    var state: State
    /// When the receiver was first told of this event.
    var firstSentAt: Int64?
  }

  private let settings: Settings
  private var entries: [Entry] = []
  private var known: [[String: String]: Known] = [:]
  private var isSplitting = false
  private var failuresInRow = 0
  private var notBefore = Int64.min
  public private(set) var deliveredTotal = 0
  public private(set) var failedTotal = 0
  public private(set) var refusedTotal = 0
  /// Events that fell out because the queue was full.
  public private(set) var droppedTotal = 0
  public private(set) var lastFailure: String?
  public private(set) var lastDeliveredAt: Int64?

  /// An empty queue, for a receiver that was never told anything.
  public init(_ settings: Settings) { self.settings = settings }

  /// How many events wait.
  public var waitingCount: Int { entries.count }
  /// Whether the last attempt failed.
  public var isFailing: Bool { failuresInRow > 0 }

  /// How the delivery of the alert with these labels stands; `nil` when the receiver was never told.
  public func state(of labels: [String: String]) -> State? { known[labels]?.state }

  /// Takes over a firing alert of before the start, which the receiver was told of.
  public mutating func restore(_ event: AlertEvent) {
    known[event.labels] = Known(event: event, sentAt: nil, state: .delivered)
  }

  /// Adds events. Returns numbers of entries that fell out, to be removed from disk.
  public mutating func add(_ new: [Entry]) -> [Int64] {
    var gone: [Int64] = []
    for entry in new {
      if entry.event.isResolved, !settings.sendsResolved {
        gone.append(entry.number)
        known[entry.event.labels] = nil
        continue
      }
      known[entry.event.labels] = Known(event: entry.event, sentAt: nil, state: .waiting)
      entries.append(entry)
    }
    while entries.count > settings.entriesMax {
      var newest: [[String: String]: Int] = [:]
      for (index, entry) in entries.enumerated() { newest[entry.event.labels] = index }
      let victim = entries.indices.first { newest[entries[$0].event.labels] != $0 } ?? 0
      gone.append(entries.remove(at: victim).number)
      droppedTotal += 1
    }
    return gone
  }

  /// What to send at `now`; `nil` when nothing is due.
  public mutating func next(at now: Int64) -> Batch? {
    guard now >= notBefore else { return nil }
    if !entries.isEmpty {
      var events: [AlertEvent] = []
      var labels: Set<[String: String]> = []
      for entry in entries.prefix(isSplitting ? 1 : settings.batchMax) {
        guard labels.insert(entry.event.labels).inserted else { break }
        events.append(entry.event)
      }
      return Batch(events: events, isRepetition: false, count: events.count)
    }
    guard let resend = settings.resendMilliseconds else { return nil }
    forgetOld(at: now)
    let due = known.values.filter { $0.state == .delivered && ($0.sentAt ?? .min) <= now - resend }
    guard !due.isEmpty else { return nil }
    let events = due.map(\.event).sorted { $0.startsAt < $1.startsAt }.prefix(settings.batchMax)
    return Batch(events: Array(events), isRepetition: true, count: 0)
  }

  /// When ``next(at:)`` should be asked again, milliseconds since 1970; `nil`: when something is added.
  public func wakeAt(after now: Int64) -> Int64? {
    if !entries.isEmpty { return max(now, notBefore) }
    guard let resend = settings.resendMilliseconds else { return nil }
    let due = known.values.lazy.filter { $0.state == .delivered }.map { ($0.sentAt ?? now - resend) + resend }
    return due.min().map { max($0, now, notBefore) }
  }

  /// Notes what became of a batch. Returns numbers of entries that are done, to be removed from disk.
  public mutating func finish(_ batch: Batch, _ outcome: Outcome, at now: Int64) -> [Int64] {
    switch outcome {
    case .delivered:
      failuresInRow = 0
      notBefore = .min
      isSplitting = isSplitting && !entries.isEmpty && !batch.isRepetition
      lastDeliveredAt = now
      if !batch.isRepetition { deliveredTotal += batch.events.count }
      for event in batch.events { note(event, .delivered, at: now) }
      return removeFirst(batch.count)
    case .failed(let reason):
      failuresInRow += 1
      failedTotal += 1
      lastFailure = reason
      let doubled = settings.backOffMilliseconds << min(16, Int64(failuresInRow - 1))
      notBefore = now + min(settings.backOffMillisecondsMax, doubled)
      return []
    case .refused(let reason):
      lastFailure = reason
      if batch.events.count > 1, !batch.isRepetition {
        // One of them is the reason: they go one by one now.
        isSplitting = true
        return []
      }
      refusedTotal += batch.events.count
      for event in batch.events { note(event, .refused, at: now) }
      return removeFirst(batch.count)
    }
  }

  private mutating func note(_ event: AlertEvent, _ state: State, at now: Int64) {
    // A newer event of the alert may wait already.
    guard var entry = known[event.labels], entry.event == event else { return }
    entry.sentAt = now
    entry.firstSentAt = entry.firstSentAt ?? now
    entry.state = state
    if settings.resendMilliseconds == nil, event.isResolved {
      known[event.labels] = nil
    } else {
      known[event.labels] = entry
    }
  }

  private mutating func removeFirst(_ count: Int) -> [Int64] {
    let numbers = entries.prefix(count).map(\.number)
    entries.removeFirst(count)
    if entries.isEmpty { isSplitting = false }
    return numbers
  }

  private mutating func forgetOld(at now: Int64) {
    known = known.filter { _, entry in
      guard entry.state != .waiting, entry.event.isResolved else { return true }
      // Counted from the first telling: one that ended during an outage is told for five minutes all the same.
      return now - (entry.firstSentAt ?? now) < AlertLimits.resolvedResendMilliseconds
    }
  }
}
