import BongsuModel
import BongsuWire

/// The naive model: every sample that was ever taken, and what may have become of it.
///
/// It knows nothing of sessions, floors or ranges. A sample is a number; its row follows from the number.
final class Ledger {
  struct Sample {
    let machine: Int
    let node: Int
    let stamp: TickStamp
    /// True time when it was taken.
    let trueUnix: Int64
    let width: Int
    /// Where the agent put it; changes when a numbering starts anew.
    var stream: StreamID
    var sequence: UInt64
    /// Whether the agent was told that it is stored or consumed.
    var isAcknowledged = false
    /// Why it may be missing at the end; `nil`: it must be stored.
    var excuse: String?
  }

  var samples: [Sample] = []

  /// The row of a sample.
  static func row(of id: Int, width: Int, into words: inout [Int64]) {
    words.removeAll(keepingCapacity: true)
    words.append(Int64(id))
    var mixed = UInt64(id) &* 0x9E37_79B9_7F4A_7C15
    for column in 1..<width {
      mixed = (mixed ^ (mixed >> 29)) &* 0xBF58_476D_1CE4_E5B9
      // Every eleventh value is absent; the others move slowly, as readings do.
      words.append(mixed % 11 == 0 ? Int64.min : 300_000 + Int64(column) * 1000 + Int64(mixed % 64))
    }
  }

  /// Checks a stored row against the sample it claims to be; returns the sample's number, or what is wrong.
  func check(_ words: ArraySlice<Int64>, node: Int) -> Result<Int, Violation> {
    guard let first = words.first, first >= 0, Int(first) < samples.count else {
      return .failure(Violation("node \(node): a stored row belongs to no sample: \(words.prefix(3))"))
    }
    let id = Int(first)
    var expected: [Int64] = []
    Self.row(of: id, width: samples[id].width, into: &expected)
    guard samples[id].node == node, expected.elementsEqual(words) else {
      return .failure(Violation("sample \(id): stored values differ: \(Array(words)) for \(expected)"))
    }
    return .success(id)
  }
}

/// A broken promise.
public struct Violation: Error, CustomStringConvertible, Sendable {
  public let description: String
  init(_ description: String) { self.description = description }
}
