/// The answer of `/api/bongsu/v1/storage`: what history takes on disk, and for how long the disk lasts.
public struct StorageReport: Codable, Hashable, Sendable {
  /// One kind of stored data: the journal, raw chunks, or a tier of rollups.
  public struct Part: Codable, Hashable, Sendable {
    /// `journal`, `raw`, `1s`, `10s`, `1m`, `15m`, `1h`, `sketches`, `other`.
    public var name: String
    /// Bytes at present.
    public var bytes: Int64
    /// Bytes that one more day adds at the present rate; `nil` while too little is stored to tell.
    public var bytesPerDay: Int64?
    /// Milliseconds for which it is kept by the settings; `nil` where only its size is bounded.
    public var keptMilliseconds: Int64?
    /// Oldest instant that is stored, milliseconds since 1970; `nil` while it is empty.
    public var oldestUnixMilliseconds: Int64?

    private enum CodingKeys: String, CodingKey {
      case name, bytes
      case bytesPerDay = "bytes_per_day"
      case keptMilliseconds = "kept_ms"
      case oldestUnixMilliseconds = "oldest_ms"
    }

    public init(
      name: String, bytes: Int64, bytesPerDay: Int64? = nil, keptMilliseconds: Int64? = nil,
      oldestUnixMilliseconds: Int64? = nil
    ) {
      self.name = name
      self.bytes = bytes
      self.bytesPerDay = bytesPerDay
      self.keptMilliseconds = keptMilliseconds
      self.oldestUnixMilliseconds = oldestUnixMilliseconds
    }
  }

  public var parts: [Part]
  /// Bytes that the disk of the data directory has free, and has at all.
  public var freeBytes: Int64?
  public var diskBytes: Int64?
  /// Days until the disk is full, if what is not bounded keeps growing; `nil` when all of it fits for good, or too little
  /// is stored to tell.
  public var daysUntilFull: Double?

  private enum CodingKeys: String, CodingKey {
    case parts
    case freeBytes = "free_bytes"
    case diskBytes = "disk_bytes"
    case daysUntilFull = "days_until_full"
  }

  public init(parts: [Part], freeBytes: Int64? = nil, diskBytes: Int64? = nil, daysUntilFull: Double? = nil) {
    self.parts = parts
    self.freeBytes = freeBytes
    self.diskBytes = diskBytes
    self.daysUntilFull = daysUntilFull
  }
}
