internal import Glibc

/// Reads a log from its oldest record, or from a given number, to its end, over whatever damage there is.
///
/// Reading never changes a file, so a log can be read while its writer appends to it, as long as the reader stops at a
/// number that the writer has committed. Memory is one window of at least two of the largest records.
///
///     while let event = try reader.next() {
///       switch event {
///       case .record(let record): try reader.withPayload { payload in … }
///       case .damage(let damage): count(damage)
///       }
///     }
///
/// Damage is reported before the record that follows it. Not thread-safe; one owner.
public struct LogReader: ~Copyable {
  /// What ``next()`` found.
  public enum Event: Hashable, Sendable {
    /// A good record; its payload is available until the next call.
    case record(LogRecord)
    /// A stretch that could not be read.
    case damage(LogDamage)
  }

  private let disk: any Disk
  private let log: String
  private let limits: LogLimits
  private var from: UInt64
  private var through: UInt64

  /// First numbers of the segments not opened yet, newest first.
  private var waiting: [UInt64]
  private var file: DiskFile?
  private var segment = ""
  private var segmentFirst: UInt64 = 0
  private var segmentBytes: Int64 = 0
  private var salt: UInt32 = 0
  /// Where the next record should start, and the number of the last good one, or of the last one known to be lost.
  private(set) var position: Int64 = 0
  private(set) var lastNumber: UInt64
  /// Salt of the segment opened last; `nil` when its header is unreadable.
  private(set) var lastSalt: UInt32?
  /// Bytes that the disk refused to read (EIO) in the segment opened last. They may be there the next time.
  private(set) var unreadableBytes = 0
  private var found: LogRecord?
  private var payloadOffset: Int64 = 0
  private var payloadBytes = 0

  private var window: [UInt8]
  private var windowStart: Int64 = 0
  private var windowBytes = 0

  /// Prepares to read log `log` on `disk`.
  ///
  /// - Parameters:
  ///   - from: number of the first record wanted. Records missing in front of what is there count as damage. `nil`
  ///     starts at the oldest record there is.
  ///   - through: number of the last record wanted; nothing behind it is looked at.
  public init(
    disk: any Disk, log: String, limits: LogLimits, from: UInt64? = nil, through: UInt64 = .max
  ) throws(LogError) {
    self.disk = disk
    self.log = log
    self.limits = limits
    self.through = through
    var firsts = try Self.segments(of: log, on: disk)
    if let from {
      // A segment is of no use when its successor starts at or before the number wanted.
      while firsts.count > 1, firsts[1] <= from { firsts.removeFirst() }
    }
    self.from = from ?? 0
    // The segment is walked from its first record, also when the one wanted comes later or is not there yet.
    let wanted = max(from ?? firsts.first ?? 1, 1)
    lastNumber = min(wanted, max(firsts.first ?? wanted, 1)) - 1
    waiting = firsts.reversed()
    window = []
  }

  deinit {
    if let file { disk.close(file) }
  }

  /// The first numbers of the segments on `disk`, ascending.
  static func segments(of log: String, on disk: any Disk) throws(LogError) -> [UInt64] {
    do {
      let firsts = try disk.names().compactMap { SegmentFormat.firstNumber(log: log, name: $0) }.sorted()
      precondition(firsts.count <= LogLimits.segmentsMax, "\(firsts.count) segments of log \(log)")
      return firsts
    } catch {
      throw .disk(error)
    }
  }

  /// Numbers of the first records of a log's segments, ascending: where a reader can begin that needs whole segments.
  public static func segmentStarts(disk: any Disk, log: String) throws(LogError) -> [UInt64] {
    try segments(of: log, on: disk)
  }

  /// Goes on with records that the writer has committed since, up to `number`, from where ``next()`` gave `nil`.
  ///
  /// A reader that follows a log this way reads every byte once.
  public mutating func extend(through number: UInt64) throws(LogError) {
    through = max(through, number)
    // Those listed before may have been trimmed, and new ones may be there.
    var firsts = try Self.segments(of: log, on: disk)
    while firsts.count > 1, firsts[1] <= lastNumber + 1 { firsts.removeFirst() }
    if let file {
      let opened = segmentFirst
      waiting = firsts.filter { $0 > opened }.reversed()
      do { segmentBytes = try disk.byteCount(of: file) } catch { throw .disk(error) }
      windowBytes = 0
    } else {
      // The segment that was left may have grown: it is walked again, and what was given is not given twice.
      from = max(from, lastNumber + 1)
      if let first = firsts.first { lastNumber = min(lastNumber, first - 1) }
      waiting = firsts.reversed()
    }
  }

  /// The next record or stretch of damage; `nil` at the end.
  public mutating func next() throws(LogError) -> Event? {
    while true {
      if let record = found {
        found = nil
        guard record.number <= through else { return nil }
        deliver(record)
        if record.number >= from { return .record(record) }
        continue
      }
      if lastNumber >= through { return nil }
      if file == nil {
        guard let first = waiting.popLast() else { return nil }
        if let damage = try open(first), (damage.lostNumbers?.upperBound ?? .max) >= from { return .damage(damage) }
        continue
      }
      if position == segmentBytes {
        closeSegment()
        continue
      }
      if let record = try goodRecord(at: position, numbers: (lastNumber + 1)...(lastNumber + 1)) {
        found = record
        continue
      }
      if let damage = try skipDamage(), (damage.lostNumbers?.upperBound ?? .max) >= from { return .damage(damage) }
    }
  }

  /// Where the record that ``next()`` gave last stands; with ``LogReader/payload(at:number:disk:log:limits:)`` it can be
  /// read again without a walk.
  public var place: RecordPlace {
    RecordPlace(segment: segmentFirst, offset: payloadOffset - Int64(RecordFormat.headerBytes))
  }

  /// Lends the payload of the record that ``next()`` gave last.
  public mutating func withPayload<Result, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let start = Int(payloadOffset - windowStart)
    // SAFETY: bytes have no padding.
    return try unsafe body(window.span.bytes.extracting(start..<(start + payloadBytes)))
  }

  // MARK: Segments

  private mutating func open(_ first: UInt64) throws(LogError) -> LogDamage? {
    segment = SegmentFormat.name(log: log, firstNumber: first)
    segmentFirst = first
    do {
      let opened = try disk.open(segment, .read)
      file = opened
      segmentBytes = try disk.byteCount(of: opened)
    } catch let error where error.isNotFound {
      return nil  // trimmed since it was listed; the next segment tells which numbers are gone
    } catch {
      throw .disk(error)
    }
    windowBytes = 0
    unreadableBytes = 0
    let header = Int(min(segmentBytes, Int64(SegmentFormat.headerBytes)))
    try fill(at: 0, count: header)
    // SAFETY: bytes have no padding.
    let reading = unsafe SegmentFormat.read(window.span.bytes.extracting(first: header), firstNumber: first)
    if case .newer(let version) = reading { throw .newerFormat(segment: segment, version: version) }
    guard case .good(let salt) = reading else { return abandonSegment(first) }
    self.salt = salt
    lastSalt = salt
    position = Int64(SegmentFormat.headerBytes)
    let expected = lastNumber + 1
    lastNumber = max(lastNumber, first - 1)
    guard first > expected else { return nil }
    return LogDamage(cause: .missing, segment: segment, offset: 0, byteCount: 0, lostNumbers: expected...(first - 1))
  }

  /// Gives up a segment without a header. One that holds no more than a header was being made when the machine stopped.
  private mutating func abandonSegment(_ first: UInt64) -> LogDamage? {
    let bytes = segmentBytes
    let mayHoldRecords = bytes > Int64(SegmentFormat.headerBytes)
    let expected = lastNumber + 1
    closeSegment()
    lastSalt = nil
    position = bytes
    guard mayHoldRecords || waiting.last.map({ $0 > expected }) == true else { return nil }
    let bound = first + UInt64(max(0, bytes - Int64(SegmentFormat.headerBytes))) / UInt64(RecordFormat.headerBytes)
    let last = waiting.last.map { $0 - 1 } ?? bound
    lastNumber = max(lastNumber, last)
    return LogDamage(
      cause: .segmentHeader, segment: segment, offset: 0, byteCount: bytes,
      lostNumbers: last >= expected ? expected...last : nil)
  }

  private mutating func closeSegment() {
    if let file { disk.close(file) }
    file = nil
  }

  // MARK: Records

  private mutating func deliver(_ record: LogRecord) {
    lastNumber = record.number
    payloadOffset = position + Int64(RecordFormat.headerBytes)
    payloadBytes = record.payloadBytes
    position = payloadOffset + Int64(payloadBytes)
  }

  /// The record at `offset` when all of it is good and its number lies within `numbers`.
  private mutating func goodRecord(at offset: Int64, numbers: ClosedRange<UInt64>) throws(LogError) -> LogRecord? {
    guard segmentBytes - offset >= Int64(RecordFormat.headerBytes) else { return nil }
    try fill(at: offset, count: RecordFormat.headerBytes)
    var start = Int(offset - windowStart)
    // SAFETY: here and below, bytes have no padding; `fill` has made the bytes available.
    guard numbers.contains(unsafe RecordFormat.number(in: window.span.bytes, at: start)),
      let record = unsafe RecordFormat.header(in: window.span.bytes, at: start, salt: salt),
      record.payloadBytes <= limits.recordBytesMax
    else { return nil }
    let count = RecordFormat.headerBytes + record.payloadBytes
    guard segmentBytes - offset >= Int64(count) else { return nil }
    try fill(at: offset, count: count)
    start = Int(offset - windowStart)
    return unsafe RecordFormat.isIntact(record, in: window.span.bytes, at: start, salt: salt) ? record : nil
  }

  /// Moves from a bad record to the next good one of the segment, or to its end.
  private mutating func skipDamage() throws(LogError) -> LogDamage? {
    let start = position
    let expected = lastNumber + 1
    if let (offset, record) = try nextGoodRecord(after: start, expected: expected) {
      position = offset
      found = record
      return LogDamage(
        cause: .records, segment: segment, offset: start, byteCount: offset - start,
        lostNumbers: record.number > expected ? expected...(record.number - 1) : nil)
    }
    position = segmentBytes
    guard let next = waiting.last else {
      position = start
      let damage = LogDamage(
        cause: .tornTail, segment: segment, offset: start, byteCount: segmentBytes - start, lostNumbers: nil)
      closeSegment()
      return damage
    }
    // A torn tail that an earlier start left in place holds no numbers: the next segment goes on where this one ends.
    guard next > expected else { return nil }
    lastNumber = next - 1
    return LogDamage(
      cause: .records, segment: segment, offset: start, byteCount: segmentBytes - start,
      lostNumbers: expected...(next - 1))
  }

  private mutating func nextGoodRecord(
    after start: Int64, expected: UInt64
  ) throws(LogError) -> (offset: Int64, record: LogRecord)? {
    // When only the payload is bad, the header still says where the next record starts.
    if segmentBytes - start >= Int64(RecordFormat.headerBytes) {
      try fill(at: start, count: RecordFormat.headerBytes)
      // SAFETY: bytes have no padding.
      let header = unsafe RecordFormat.header(in: window.span.bytes, at: Int(start - windowStart), salt: salt)
      if let header, header.number == expected {
        let behind = start + Int64(RecordFormat.headerBytes + header.payloadBytes)
        if behind < segmentBytes, let record = try goodRecord(at: behind, numbers: (expected + 1)...(expected + 1)) {
          return (behind, record)
        }
      }
    }
    var offset = start + 1
    while segmentBytes - offset >= Int64(RecordFormat.headerBytes) {
      let numberMax = expected + UInt64((offset - start) / Int64(RecordFormat.headerBytes))
      if let record = try goodRecord(at: offset, numbers: expected...numberMax) { return (offset, record) }
      offset += 1
    }
    return nil
  }

  // MARK: Window

  /// Makes the `count` bytes from `offset` on available in the window. They must lie within the file.
  private mutating func fill(at offset: Int64, count: Int) throws(LogError) {
    guard offset < windowStart || offset + Int64(count) > windowStart + Int64(windowBytes) || windowBytes == 0 else {
      return
    }
    guard let file else { return }
    if window.isEmpty {
      let size = 2 * (limits.recordBytesMax + RecordFormat.headerBytes)
      window = [UInt8](repeating: 0, count: max(size, 16_384))
    }
    windowStart = offset
    windowBytes = Int(min(Int64(window.count), segmentBytes - offset))
    do {
      _ = try read(file, into: 0..<windowBytes)
    } catch let error where error.code == EIO {
      try readAroundBadPages(file)
    } catch {
      throw .disk(error)
    }
  }

  private mutating func read(_ file: DiskFile, into range: Range<Int>) throws(DiskError) -> Int {
    try disk.read(file, at: windowStart + Int64(range.lowerBound), into: &window, range)
  }

  /// Reads the window page by page; a page that the disk cannot read becomes zeros, which are never a good record.
  private mutating func readAroundBadPages(_ file: DiskFile) throws(LogError) {
    for page in stride(from: 0, to: windowBytes, by: 4096) {
      let range = page..<min(page + 4096, windowBytes)
      do {
        _ = try read(file, into: range)
      } catch let error where error.code == EIO {
        for index in range { window[index] = 0 }
        unreadableBytes += range.count
      } catch {
        throw .disk(error)
      }
    }
  }
}
