public import BongsuModel

/// When after a tick a node sends: the same for a node always, and spread over all nodes, so that a nation that samples at
/// one instant does not send at one.
public enum SendSpread {
  /// Longest delay, however long the interval is: alarms wait for it.
  static let nanosecondsMax: Int64 = 100_000_000

  /// How long after its ticks `node` sends rows of `interval`: from 0 to below the lesser of 100 ms and a tenth of the
  /// interval.
  public static func nanoseconds(node: NodeID, interval: TickInterval) -> Int64 {
    let width = UInt64(min(nanosecondsMax, interval.nanoseconds / 10))
    // FNV-1a, and a last mixing: names of neighbours differ in their last letters only.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in node.name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    hash = (hash ^ (hash >> 32)) &* 0x9E37_79B9_7F4A_7C15
    return Int64((hash ^ (hash >> 29)) % width)
  }
}
