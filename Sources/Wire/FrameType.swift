/// What a frame is: the low five bits of its first byte.
public enum FrameType: UInt8, Sendable, CaseIterable {
  case hello = 1
  case welcome = 2
  case refuse = 3
  case layout = 4
  case block = 5
  case ack = 6
  case reject = 7
  case gap = 8
  case heartbeat = 9
}

/// The version of the wire format: the high three bits of every frame's first byte.
///
/// The first byte, and the whole of Hello and Refuse as version 1 draws them, never change, so that peers of any two
/// versions can tell each other what they speak.
public enum WireVersion {
  /// The version this build writes.
  public static let current: UInt8 = 1
  /// The versions this build reads.
  public static let supported: ClosedRange<UInt8> = 1...1

  /// The newest version that both sides speak, `nil` when there is none.
  public static func negotiated(offered: ClosedRange<UInt8>) -> UInt8? {
    let newest = min(offered.upperBound, supported.upperBound)
    return newest >= max(offered.lowerBound, supported.lowerBound) ? newest : nil
  }

  /// The first byte of a frame of `type` in the current version.
  static func firstByte(_ type: FrameType) -> UInt8 { current << 5 | type.rawValue }
}

extension FrameType {
  /// The type of a frame, read from its first byte; the frame's length and version are checked as well.
  ///
  /// - Throws: ``FrameError/empty``, ``FrameError/oversized(bytes:limit:)``,
  ///   ``FrameError/otherVersion(seen:supported:)`` or ``FrameError/unknownType(_:)``.
  /// - Complexity: O(1), no allocation.
  public init(of frame: RawSpan) throws(FrameError) {
    guard frame.byteCount > 0 else { throw .empty }
    guard frame.byteCount <= WireLimits.frameBytesMax else {
      throw .oversized(bytes: frame.byteCount, limit: WireLimits.frameBytesMax)
    }
    let first = frame.byte(at: 0)
    guard WireVersion.supported.contains(first >> 5) else {
      throw .otherVersion(seen: first >> 5, supported: WireVersion.supported)
    }
    guard let type = FrameType(rawValue: first & 0x1F) else { throw .unknownType(first & 0x1F) }
    self = type
  }
}
