internal import BongsuRecordLog
internal import BongsuWire

/// The bounds of a spool.
public struct SpoolLimits: Hashable, Sendable {
  /// Bytes on disk. Tests/SpoolTests measures how many days of rows the default holds.
  public let diskBytesMax: Int
  /// Bytes of packed runs that wait in memory while the disk refuses them.
  public let memoryBytesMax: Int

  /// Fixes the bounds.
  ///
  /// - Precondition: `diskBytesMax` is at least 1 MiB, `memoryBytesMax` at least 64 KiB.
  public init(diskBytesMax: Int = 256 << 20, memoryBytesMax: Int = 1 << 20) {
    precondition(diskBytesMax >= 1 << 20, "spool of \(diskBytesMax) bytes, at least 1 MiB is needed")
    precondition(memoryBytesMax >= 64 << 10, "spool memory of \(memoryBytesMax) bytes, at least 64 KiB is needed")
    self.diskBytesMax = diskBytesMax
    self.memoryBytesMax = memoryBytesMax
  }

  /// The oldest segment is dropped whole, so an overflow costs this share of the spool.
  static let segmentsPerSpool = 256
  /// Layouts that the spool remembers: those of its runs and those to come.
  static let layoutsMax = 64

  /// The bounds of the record log below.
  var log: LogLimits {
    LogLimits(
      segmentBytes: min(max(diskBytesMax / Self.segmentsPerSpool, 16 << 10), 4 << 20),
      recordBytesMax: WireLimits.frameBytesMax,
      batchBytesMax: max(memoryBytesMax, WireLimits.frameBytesMax) + WireLimits.frameBytesMax)
  }
}
