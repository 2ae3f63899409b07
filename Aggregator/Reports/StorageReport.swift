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
    /// Bytes that one more day adds by the size of the fleet; `nil` where that is not predicted.
    public var predictedBytesPerDay: Int64?
    /// Milliseconds for which it is kept by the settings; `nil` where only its size is bounded.
    public var keptMilliseconds: Int64?
    /// Oldest instant that is stored, milliseconds since 1970; `nil` while it is empty.
    public var oldestUnixMilliseconds: Int64?

    private enum CodingKeys: String, CodingKey {
      case name, bytes
      case bytesPerDay = "bytes_per_day"
      case predictedBytesPerDay = "predicted_bytes_per_day"
      case keptMilliseconds = "kept_ms"
      case oldestUnixMilliseconds = "oldest_ms"
    }

    public init(
      name: String, bytes: Int64, bytesPerDay: Int64? = nil, predictedBytesPerDay: Int64? = nil,
      keptMilliseconds: Int64? = nil, oldestUnixMilliseconds: Int64? = nil
    ) {
      self.name = name
      self.bytes = bytes
      self.bytesPerDay = bytesPerDay
      self.predictedBytesPerDay = predictedBytesPerDay
      self.keptMilliseconds = keptMilliseconds
      self.oldestUnixMilliseconds = oldestUnixMilliseconds
    }
  }

  /// Parts that may have so many bytes together; the oldest go first.
  public struct Bound: Codable, Hashable, Sendable {
    /// `raw`, or `rollups`: all tiers and sketches.
    public var name: String
    public var bytesMax: Int64
    /// Days that fit at the measured rate, or the predicted one where there is none; `nil` while neither is known.
    public var daysHeld: Double?
    /// Days until it is reached and the oldest goes before its time; `nil` when age removes it first, or nothing comes.
    public var daysUntilReached: Double?

    private enum CodingKeys: String, CodingKey {
      case name
      case bytesMax = "bytes_max"
      case daysHeld = "days_held"
      case daysUntilReached = "days_until_reached"
    }

    public init(name: String, bytesMax: Int64, daysHeld: Double? = nil, daysUntilReached: Double? = nil) {
      self.name = name
      self.bytesMax = bytesMax
      self.daysHeld = daysHeld
      self.daysUntilReached = daysUntilReached
    }
  }

  public var parts: [Part]
  /// Bounds of bytes; `nil` where they are not told.
  public var bounds: [Bound]?
  /// GPUs that are expected at present: what the prediction is for.
  public var predictedForGPUs: Int?
  /// Minutes of rollups that wait to be formed anew, since rows came late or a restatement was asked for.
  public var minutesWaiting: Int?
  /// Minutes of rollups that were to be formed anew and stay as they are, since raw rows of them are lost; since the start.
  public var minutesNotRestated: Int?
  /// Bytes that the disk of the data directory has free, and has at all.
  public var freeBytes: Int64?
  public var diskBytes: Int64?
  /// Days until the disk is full, if what is not bounded keeps growing; `nil` when all of it fits for good.
  public var daysUntilFull: Double?

  private enum CodingKeys: String, CodingKey {
    case parts, bounds
    case predictedForGPUs = "predicted_for_gpus"
    case minutesWaiting = "minutes_waiting"
    case minutesNotRestated = "minutes_not_restated"
    case freeBytes = "free_bytes"
    case diskBytes = "disk_bytes"
    case daysUntilFull = "days_until_full"
  }

  public init(
    parts: [Part], bounds: [Bound]? = nil, predictedForGPUs: Int? = nil, minutesWaiting: Int? = nil,
    minutesNotRestated: Int? = nil, freeBytes: Int64? = nil, diskBytes: Int64? = nil, daysUntilFull: Double? = nil
  ) {
    self.parts = parts
    self.bounds = bounds
    self.predictedForGPUs = predictedForGPUs
    self.minutesWaiting = minutesWaiting
    self.minutesNotRestated = minutesNotRestated
    self.freeBytes = freeBytes
    self.diskBytes = diskBytes
    self.daysUntilFull = daysUntilFull
  }
}
