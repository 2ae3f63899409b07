/// The name of a node, unique in the nation: 1 to ``Limits/nodeIDBytesMax`` letters, digits, `.`, `_` and `-`, starting
/// with a letter or digit, so that it is safe in file names, label values and shell commands.
public struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The name as text.
  public let name: String

  /// Accepts a well-formed name; `nil` otherwise.
  public init?(_ name: String) {
    guard (1...Limits.nodeIDBytesMax).contains(name.utf8.count) else { return nil }
    guard let first = name.utf8.first, Self.isAlphanumeric(first) else { return nil }
    guard name.utf8.allSatisfy({ Self.isAlphanumeric($0) || $0 == 0x2E || $0 == 0x5F || $0 == 0x2D }) else {
      return nil
    }
    self.name = name
  }

  public var description: String { name }

  /// What follows a node's name in the name of its controller: `r001-n07.bmc` gives the power of `r001-n07`.
  public static let controllerSuffix = ".bmc"

  /// The name under which this node's controller (BMC) delivers beside its agent; `nil` when that would be too long.
  public var controller: NodeID? { NodeID(name + Self.controllerSuffix) }

  /// The node that a controller of this name belongs to; `nil` when it is not such a name.
  public var controlled: NodeID? {
    guard name.hasSuffix(Self.controllerSuffix) else { return nil }
    return NodeID(String(name.dropLast(Self.controllerSuffix.count)))
  }

  public static func < (left: NodeID, right: NodeID) -> Bool { left.name < right.name }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
  }
}

/// One run of an agent process: a random number drawn at start. A newer incarnation with the same key fences the older.
public struct Incarnation: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// One numbering of a node's blocks: a random number that lives as long as the agent's spool directory. Sequence numbers
/// grow within a stream and are never used twice, also across restarts of the agent.
public struct StreamID: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// The number of a block within its stream, from 1 upwards.
public struct BlockSequence: RawRepresentable, Hashable, Comparable, Sendable, BitwiseCopyable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (left: BlockSequence, right: BlockSequence) -> Bool { left.rawValue < right.rawValue }
}

/// The kernel's random boot identifier (`/proc/sys/kernel/random/boot_id`), as its first eight bytes. `CLOCK_BOOTTIME`
/// readings compare only within one boot.
public struct BootID: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}
