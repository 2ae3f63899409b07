/// What must survive a restart, kept by somebody else.
///
/// Thread rule: called from one thread; blocks.
public protocol AlertPersistence: Sendable {
  /// Everything that was saved. What is damaged is left out and named in `damage`.
  func load() throws -> SavedAlerting

  /// Saves changes in one transaction. Returns the numbers of the events, in their order.
  func commit(_ change: AlertingChange) throws -> [Int64]

  /// Transitions from `start` to `end` (milliseconds since 1970, inclusive), newest first, at most `limit`. Any thread.
  func history(from start: Int64, through end: Int64, limit: Int) throws -> [AlertTransition]
}

/// What a start takes over.
public struct SavedAlerting: Sendable {
  public var alerts: [SavedAlert] = []
  /// Events that no receiver confirmed, oldest first.
  public var events: [(number: Int64, receiver: String, event: AlertEvent)] = []
  /// Coverage of the nation when the state was last saved; `nil` when nothing was.
  public var coverage: Double?
  /// What could not be read, one line each.
  public var damage: [String] = []

  public init() {}
}

/// What one evaluation changes.
public struct AlertingChange: Sendable {
  /// All alerts of these rules; a rule's saved alerts are replaced.
  public var alerts: [String: [SavedAlert]] = [:]
  public var transitions: [AlertTransition] = []
  public var events: [(receiver: String, event: AlertEvent)] = []
  /// Numbers of events that are done.
  public var doneEvents: [Int64] = []
  public var coverage: Double?

  public init() {}

  public var isEmpty: Bool {
    alerts.isEmpty && transitions.isEmpty && events.isEmpty && doneEvents.isEmpty && coverage == nil
  }
}
