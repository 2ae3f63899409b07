public import BongsuModel

/// What one shard adds to one tick: the leaf cells it touched, and the readings of its meters. Frames of several shards,
/// and later corrections of the same tick, add up.
public struct LeafFrame: Hashable, Sendable {
  /// The tick, in wall time.
  public internal(set) var tick: Tick
  /// Leaf cells with content, each once, and their words one after the other.
  var leaves: [Int32] = []
  var words: [Int64] = []
  /// Facility power read by real meters at this tick, mW.
  var meterReadings: [(meter: Int32, milliwatts: Int64)] = []

  /// A frame without content.
  public init(tick: Tick) {
    self.tick = tick
  }

  /// Whether nothing was added.
  public var isEmpty: Bool { leaves.isEmpty && meterReadings.isEmpty }

  /// Empties the frame for reuse, keeping its memory.
  public mutating func reset(tick: Tick) {
    self.tick = tick
    leaves.removeAll(keepingCapacity: true)
    words.removeAll(keepingCapacity: true)
    meterReadings.removeAll(keepingCapacity: true)
  }

  public static func == (left: LeafFrame, right: LeafFrame) -> Bool {
    left.tick == right.tick && left.leaves == right.leaves && left.words == right.words
      && left.meterReadings.elementsEqual(right.meterReadings, by: ==)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(tick)
    hasher.combine(leaves)
    hasher.combine(words)
  }
}
