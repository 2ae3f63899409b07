/// Appends numbered records to a log, many with one write and one `fdatasync`.
///
///     stage ▶ stage ▶ stage ▶ commit ──▶ durable through number n
///              (memory)        one write, one fdatasync
///
/// Opening reads the last segment alone. A commit that the disk refuses, for example for want of space, leaves the
/// batch staged, and the next commit tries the same bytes at the same place again. After a failed synchronization the
/// log refuses everything: the process has to end (``LogError/isFatal``).
///
/// Not thread-safe; one owner. Memory: one batch.
public struct LogWriter: ~Copyable {
  /// One segment file.
  public struct Segment: Hashable, Sendable {
    /// Number of its first record.
    public let firstNumber: UInt64
    /// Bytes of its good part.
    public internal(set) var byteCount: Int64
  }

  private let disk: any Disk
  private let log: String
  private let limits: LogLimits
  private let salt: UInt32

  /// The segments, oldest first.
  public private(set) var segments: [Segment]
  /// The number that the next staged record gets.
  public private(set) var nextNumber: UInt64
  /// All records up to here are on disk. Lower than ``nextNumber`` − 1 while records are staged, or until
  /// ``repair()`` has run.
  public private(set) var durableNumber: UInt64
  /// What opening found to be unreadable in the last segment.
  public let damageAtOpen: [LogDamage]

  /// The batch, and how many records it holds.
  private var staged: [UInt8] = []
  private var stagedCount = 0
  /// The batch goes to a segment that has to be made first. Decided when its first record is staged, since a record's
  /// checksum depends on its segment's salt.
  private var batchStartsSegment = false
  /// The open last segment, its salt, and whether it can take more: it has a header and ends right before `nextNumber`.
  private var file: DiskFile?
  private var fileSalt: UInt32
  private var canAppend: Bool
  /// What was read at open may not be on disk yet, up to this number.
  private var unrepairedNumber: UInt64?
  /// A write was refused, so bytes of an abandoned batch may stand behind the good part.
  private var hasDebris = false
  private var failure: DiskError?

  /// Opens the log, or begins one when there is none. Changes nothing on disk.
  ///
  /// - Parameters:
  ///   - nextNumberMin: lowest number the next record may get. An owner that keeps numbers elsewhere (as applied)
  ///     passes their maximum plus one, so that a log that lost its end never gives a number a second meaning.
  ///   - salt: random number for the segments this writer makes; see FORMAT.md.
  public init(
    disk: any Disk, log: String, limits: LogLimits, nextNumberMin: UInt64 = 1, salt: UInt32
  ) throws(LogError) {
    let recovery = try LogRecovery(disk: disk, log: log, limits: limits)
    self.disk = disk
    self.log = log
    self.limits = limits
    self.salt = salt
    segments = recovery.segments
    damageAtOpen = recovery.damage
    let next = max(recovery.lastNumber + 1, nextNumberMin)
    nextNumber = next
    durableNumber = (recovery.segments.last?.firstNumber ?? next) - 1
    fileSalt = recovery.lastSegmentSalt ?? 0
    canAppend = recovery.lastSegmentSalt != nil && next == recovery.lastNumber + 1
    unrepairedNumber = recovery.lastSegmentSalt != nil ? recovery.lastNumber : nil
  }

  deinit {
    if let file { disk.close(file) }
  }

  /// Bytes waiting for the next commit.
  public var stagedBytes: Int { staged.count }

  /// Bytes of all segments.
  public var byteCount: Int64 { segments.reduce(0) { $0 + $1.byteCount } }

  // MARK: Appending

  /// Puts a record into the batch of the next commit and returns its number; `nil` when the batch is full, then commit
  /// first. Copies the payload once.
  ///
  /// - Precondition: the payload is at most ``LogLimits/recordBytesMax`` long.
  public mutating func stage(_ payload: RawSpan, kind: UInt8) -> UInt64? {
    precondition(payload.byteCount <= limits.recordBytesMax, "record of \(payload.byteCount) bytes")
    guard staged.count + RecordFormat.headerBytes + payload.byteCount <= limits.batchBytesMax else { return nil }
    if staged.isEmpty { batchStartsSegment = startsSegment }
    let number = nextNumber
    precondition(number <= RecordFormat.numberMax, "log '\(log)' has used all its numbers")
    RecordFormat.append(
      payload, number: number, kind: kind, salt: batchStartsSegment ? salt : fileSalt, to: &staged)
    stagedCount += 1
    nextNumber = number + 1
    return number
  }

  /// The same for bytes that are in an array.
  public mutating func stage(_ payload: [UInt8], kind: UInt8) -> UInt64? {
    // SAFETY: bytes have no padding.
    unsafe stage(payload.span.bytes, kind: kind)
  }

  /// Writes the batch and waits until it is on disk. Afterwards ``durableNumber`` is ``nextNumber`` − 1.
  ///
  /// Does nothing when nothing is staged and nothing has to be repaired.
  public mutating func commit() throws(LogError) {
    try repair()
    guard !staged.isEmpty else { return }
    if batchStartsSegment { try startSegment() }
    let file = try openLast()
    let last = segments.count - 1
    do {
      // An abandoned batch could end in records that look good behind a shorter one.
      if hasDebris { try disk.truncate(file, to: segments[last].byteCount) }
      hasDebris = true
      try disk.write(staged.span, to: file, at: segments[last].byteCount)
      hasDebris = false
    } catch {
      throw .disk(error)
    }
    try synchronize(file)
    segments[last].byteCount += Int64(staged.count)
    staged.removeAll(keepingCapacity: true)
    stagedCount = 0
    durableNumber = nextNumber - 1
  }

  /// Forgets the batch; its numbers are given again. For owners that would rather keep records in memory, or drop
  /// them, than wait for a disk that refuses.
  public mutating func discardStaged() {
    nextNumber -= UInt64(stagedCount)
    staged.removeAll(keepingCapacity: true)
    stagedCount = 0
  }

  /// Whether the next batch goes to a new segment; stays true until its first record is staged and committed.
  public var startsSegment: Bool {
    if !staged.isEmpty { return batchStartsSegment }
    return !canAppend || segments[segments.count - 1].byteCount >= Int64(limits.segmentBytes)
  }

  /// Lets the next batch go to a new segment however small the last one is, for owners whose records depend on where
  /// a segment begins.
  ///
  /// - Precondition: nothing is staged.
  public mutating func requestSegment() {
    precondition(staged.isEmpty, "\(staged.count) bytes are staged")
    closeFile()
    canAppend = false
  }

  // MARK: Trimming

  /// Removes whole segments whose records all have numbers below `number`; returns how many. The last segment stays.
  @discardableResult
  public mutating func trim(below number: UInt64) throws(LogError) -> Int {
    var removed = 0
    while segments.count > 1, segments[1].firstNumber <= number {
      try removeOldest()
      removed += 1
    }
    if removed > 0 { try synchronizeDirectory() }
    return removed
  }

  /// Removes the oldest segment whatever it holds and returns the numbers lost; `nil` when the last one is all there
  /// is. For logs bounded in bytes.
  public mutating func dropOldestSegment() throws(LogError) -> Range<UInt64>? {
    guard segments.count > 1 else { return nil }
    let numbers = segments[0].firstNumber..<segments[1].firstNumber
    try removeOldest()
    try synchronizeDirectory()
    return numbers
  }

  /// Removes every segment, durably; the next batch starts a new one with the next number.
  ///
  /// - Precondition: nothing is staged.
  public mutating func removeAll() throws(LogError) {
    precondition(staged.isEmpty, "\(staged.count) bytes are staged")
    try checkHealthy()
    closeFile()
    canAppend = false
    unrepairedNumber = nil
    while !segments.isEmpty { try removeOldest() }
    // Also when nothing was left: what an earlier attempt removed may come back with a power cut.
    try synchronizeDirectory()
    durableNumber = nextNumber - 1
  }

  private mutating func removeOldest() throws(LogError) {
    do {
      try disk.remove(SegmentFormat.name(log: log, firstNumber: segments[0].firstNumber))
    } catch let error where error.isNotFound {
      // Someone else removed it; it is gone, which is what was asked for.
    } catch {
      throw .disk(error)
    }
    segments.removeFirst()
  }

  // MARK: Segments

  /// Makes what was read at open durable: cuts the torn tail and writes the good part of the last segment over itself
  /// (FORMAT.md says why). The first commit does it by itself; may be called earlier, and again after an error.
  public mutating func repair() throws(LogError) {
    try checkHealthy()
    guard let recovered = unrepairedNumber else { return }
    let file = try openLast()
    let end = segments[segments.count - 1].byteCount
    var chunk = [UInt8](repeating: 0, count: 65_536)
    do {
      try disk.truncate(file, to: end)
      for offset in stride(from: 0, to: end, by: chunk.count) {
        let count = Int(min(Int64(chunk.count), end - offset))
        let read = try disk.read(file, at: offset, into: &chunk, 0..<count)
        try disk.write(chunk.span.extracting(first: read), to: file, at: offset)
      }
    } catch {
      throw .disk(error)
    }
    try synchronize(file)
    try synchronizeDirectory()
    unrepairedNumber = nil
    durableNumber = max(durableNumber, recovered)
  }

  /// Makes the segment of the staged batch. Its header is on disk before any record follows, so that a file with more
  /// bytes than a header and no good header is damage for certain.
  private mutating func startSegment() throws(LogError) {
    closeFile()
    let first = nextNumber - UInt64(stagedCount)
    let name = SegmentFormat.name(log: log, firstNumber: first)
    do {
      do {
        file = try disk.open(name, .create)
      } catch let error where error.isAlreadyThere {
        // An earlier attempt got no further than this.
        file = try disk.open(name, .readWrite)
      }
      guard let file else { return }
      try disk.truncate(file, to: 0)
      try disk.write(SegmentFormat.header(firstNumber: first, salt: salt).span, to: file, at: 0)
    } catch {
      closeFile()
      throw .disk(error)
    }
    if let file { try synchronize(file) }
    try synchronizeDirectory()
    if segments.last?.firstNumber == first { segments.removeLast() }
    segments.append(Segment(firstNumber: first, byteCount: Int64(SegmentFormat.headerBytes)))
    fileSalt = salt
    canAppend = true
    batchStartsSegment = false
    hasDebris = false
  }

  private mutating func openLast() throws(LogError) -> DiskFile {
    if let file { return file }
    let name = SegmentFormat.name(log: log, firstNumber: segments[segments.count - 1].firstNumber)
    do {
      let opened = try disk.open(name, .readWrite)
      file = opened
      return opened
    } catch {
      throw .disk(error)
    }
  }

  private mutating func closeFile() {
    if let file { disk.close(file) }
    file = nil
  }

  // MARK: Synchronizing

  private func checkHealthy() throws(LogError) {
    if let failure { throw .synchronizationFailed(failure) }
  }

  private mutating func synchronize(_ file: DiskFile) throws(LogError) {
    do {
      try disk.synchronize(file)
    } catch {
      failure = error
      throw .synchronizationFailed(error)
    }
  }

  private mutating func synchronizeDirectory() throws(LogError) {
    do {
      try disk.synchronizeDirectory()
    } catch {
      failure = error
      throw .synchronizationFailed(error)
    }
  }
}
