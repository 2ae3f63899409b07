import BongsuModel
import Synchronization

/// Where the pollers of endpoints leave what they read, for the thread that delivers.
///
/// Thread rule: any thread; each call takes one lock for a short while.
final class ReadingBoard: Sendable {
  struct Entry: Sendable {
    /// What the endpoint said last, by node.
    var readings: [NodeID: FacilityReading] = [:]
    /// When that was asked for, milliseconds of the clock since boot; `nil` before the first answer.
    var askedAt: Int64?
    /// Why there was no answer the last time; `nil` when there was one.
    var failure: String?
    /// How often there was none.
    var failures: Int64 = 0
  }

  private let entries: Mutex<[Entry]>

  init(endpoints: Int) { entries = Mutex([Entry](repeating: Entry(), count: endpoints)) }

  func publish(_ readings: [NodeID: FacilityReading], of endpoint: Int, askedAt: Int64) {
    entries.withLock { entries in
      entries[endpoint].readings = readings
      entries[endpoint].askedAt = askedAt
      entries[endpoint].failure = nil
    }
  }

  func fail(_ endpoint: Int, _ reason: String) {
    entries.withLock { entries in
      entries[endpoint].failure = reason
      entries[endpoint].failures += 1
    }
  }

  /// What endpoint number `endpoint` said of `node`, if it was asked for at or after `oldest`.
  func reading(of node: NodeID, from endpoint: Int, notBefore oldest: Int64) -> FacilityReading? {
    entries.withLock { entries in
      guard let askedAt = entries[endpoint].askedAt, askedAt >= oldest else { return nil }
      return entries[endpoint].readings[node]
    }
  }

  /// Why endpoint number `endpoint` gave no answer the last time; `nil` when it did.
  func failure(of endpoint: Int) -> String? { entries.withLock { $0[endpoint].failure } }

  func failures(of endpoint: Int) -> Int64 { entries.withLock { $0[endpoint].failures } }

  /// Endpoints whose last answer came, and all.
  var summary: (answering: Int, all: Int) {
    entries.withLock { entries in (entries.count { $0.failure == nil && $0.askedAt != nil }, entries.count) }
  }
}
