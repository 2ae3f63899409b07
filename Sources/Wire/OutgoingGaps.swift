/// The losses of an agent that its aggregator has not acknowledged yet.
///
/// Bounded: what does not fit is found again by ``AgentSession``'s accounting, which compares numbers given with numbers
/// acknowledged and held.
struct OutgoingGaps {
  struct Entry {
    var gap: Gap
    /// Boot clock when it was sent in this session; `nil` before.
    var sentAt: Int64?
  }

  private(set) var entries: [Entry] = []
  /// Entries that are kept; a stream has few losses at a time.
  static let entriesMax = 64
  /// A gap that stays unacknowledged for this long is sent again, milliseconds.
  static let resendAfter: Int64 = 30_000

  var count: Int { entries.count }
  var isFull: Bool { entries.count >= Self.entriesMax }

  /// Adds a loss unless its numbers are known as lost already.
  mutating func add(_ gap: Gap) -> Bool {
    let isKnown = entries.contains {
      $0.gap.firstSequence <= gap.firstSequence && gap.lastSequence <= $0.gap.lastSequence
    }
    guard !isKnown else { return false }
    if isFull { return extend(by: gap) }
    entries.append(Entry(gap: gap, sentAt: nil))
    return true
  }

  /// Lengthens the last entry by a loss that follows it, as when row after row finds no room while nothing is
  /// acknowledged. What was told of it already is told again with the rest, in its own time.
  private mutating func extend(by gap: Gap) -> Bool {
    let last = entries.count - 1
    guard entries[last].gap.reason == gap.reason, entries[last].gap.lastSequence + 1 == gap.firstSequence else {
      return false
    }
    entries[last].gap.lastSequence = gap.lastSequence
    entries[last].gap.lastTick = gap.lastTick
    return true
  }

  mutating func release(_ durable: SequenceSet) {
    entries.removeAll { durable.containsAll($0.gap.firstSequence, $0.gap.lastSequence) }
  }

  mutating func removeAll() { entries.removeAll() }

  mutating func sessionEnded() {
    for index in entries.indices { entries[index].sentAt = nil }
  }

  mutating func setSent(at now: Int64, _ index: Int) { entries[index].sentAt = now }

  /// Whether `number` is given up.
  func covers(_ number: UInt64) -> Bool {
    entries.contains { $0.gap.firstSequence <= number && number <= $0.gap.lastSequence }
  }
}
