public import BongsuRecordLog
public import BongsuWire

/// Reads one shard's journal entry by entry, over whatever damage there is. Never changes anything, and may run beside
/// the journal's writer up to a record that is committed.
///
///     var replay = try JournalReplay(disk: disk, from: checkpoint.record + 1)
///     while let event = try replay.next() {
///       switch event {
///       case .entry(let record, let entry): replay.withPayload { payload in … }
///       case .damage(let what): say(what)
///       }
///     }
public struct JournalReplay: ~Copyable {
  /// What ``next()`` found.
  public enum Event: Hashable, Sendable {
    /// The entry of record `record`; of a block, the payload is available until the next call.
    case entry(record: UInt64, JournalEntry)
    /// A stretch that could not be read, or a record that cannot be understood; in words.
    case damage(String)
  }

  /// Name of the journal's log.
  public static let logName = "journal"

  private var reader: LogReader
  private var payloadOffset = 0

  /// Prepares to read.
  ///
  /// - Parameters:
  ///   - from: first record wanted; `nil`: the oldest there is. Records missing in front of the journal are damage.
  ///   - through: last record wanted.
  public init(disk: any Disk, from: UInt64? = nil, through: UInt64 = .max) throws(LogError) {
    reader = try LogReader(
      disk: disk, log: Self.logName, limits: StoreLimits.journal, from: from, through: through)
  }

  /// Goes on with records that were committed since; see ``BongsuRecordLog/LogReader/extend(through:)``.
  public mutating func extend(through record: UInt64) throws(LogError) {
    try reader.extend(through: record)
  }

  /// The next entry or damage; `nil` at the end.
  public mutating func next() throws(LogError) -> Event? {
    switch try step() {
    case nil: return nil
    case .damage(let what): return .damage(what)
    case .record(let record):
      switch entry() {
      case .success(let entry): return .entry(record: record, entry)
      case .failure(let error): return .damage(Self.damage(record, error))
      }
    }
  }

  /// What ``step()`` found: a record that nobody has looked into, or damage as ``next()`` tells it.
  enum Step {
    case record(UInt64)
    case damage(String)
  }

  /// The next record, for readers that need only some of all entries; `nil` at the end.
  mutating func step() throws(LogError) -> Step? {
    switch try reader.next() {
    case nil: nil
    case .damage(let damage): .damage("journal: \(damage)")
    case .record(let record): .record(record.number)
    }
  }

  /// The kind and node of the entry of the record that ``step()`` gave last; `nil` when it cannot be understood.
  mutating func head() -> (kind: JournalEntry.Kind, node: NodeNumber)? {
    reader.withPayload { JournalEntry.head(of: $0) }
  }

  /// The entry of the record that ``step()`` gave last.
  mutating func entry() -> Result<JournalEntry, FrameError> {
    var offset = 0
    let decoded: Result<JournalEntry, FrameError> = reader.withPayload { payload in
      do throws(FrameError) {
        return .success(try JournalEntry(decoding: payload, payloadOffset: &offset))
      } catch {
        return .failure(error)
      }
    }
    payloadOffset = offset
    return decoded
  }

  static func damage(_ record: UInt64, _ error: FrameError) -> String {
    "journal: record \(record) is not understood: \(error)"
  }

  /// First record of the segment in which the record stands that was given last.
  var segment: UInt64 { reader.place.segment }

  /// Lends the whole entry that ``next()`` gave last, as the journal has it.
  mutating func withEntry<Answer, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Answer
  ) throws(Failure) -> Answer {
    try reader.withPayload(body)
  }

  /// Lends the packed rows of the block that ``next()`` gave last; empty for other entries.
  public mutating func withPayload<Answer, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Answer
  ) throws(Failure) -> Answer {
    let offset = payloadOffset
    return try reader.withPayload { (payload: RawSpan) throws(Failure) -> Answer in
      try body(payload.extracting(offset..<payload.byteCount))
    }
  }
}
