internal import BongsuCodec
public import BongsuModel
public import BongsuRecordLog
public import BongsuWire

/// The agent's durable store: rows that were not acknowledged in time, and the state of the numbering. Stands behind
/// `AgentSessionHost`; the session decides what is spooled, sent and given up.
///
/// **Promises.** It always opens. A state that was stored is found again, whatever happened in between, or none is: never
/// an older one. What was spilled is found until it is released, or named as a loss; only numbers whose record was
/// damaged are found missing by the session's own accounting. It never takes more disk or memory than its limits, and
/// writes nothing unless it is told to store or to spill.
///
///     spill ──▶ waiting (memory) ──▶ log (disk) ──▶ spooledRun, readSpooled ──▶ release
///                 │ the disk refuses: kept, and tried again with the next spill
///                 ▼ memory is full: oldest dropped, named as a loss
///
/// Runs of several ticks are packed together, oldest segments are dropped whole. Without a usable directory it is a queue
/// in memory alone.
///
/// A value without threads or clocks; one owner. Steady memory is a few kilobytes, and one segment's index while the
/// spool is drained.
public struct Spool: ~Copyable {
  /// The state found at open or stored last; `nil` when there is none: then the agent begins a new stream.
  public var state: AgentState? { head.state }
  /// The layouts that spooled runs name, and those stored since.
  public private(set) var layouts: [LayoutAnnouncement] = []
  /// The highest final label among the rows found at open; `nil` when there are none.
  public private(set) var lastTick: Tick?

  let limits: SpoolLimits
  let disk: (any Disk)?
  let salt: UInt32
  var head = SpoolHead()
  var log: SpoolLog?
  /// The segments of the log, oldest first.
  var segments: [SpoolSegment] = []
  /// Layouts defined in the segment that is written now.
  var layoutsInSegment: Set<Int> = []
  var waiting: [WaitingRun] = []
  var waitingBytes = 0
  /// The runs of the segment that was looked into last.
  var index: (segment: UInt64, runs: [PlacedRun])?
  /// The log still holds runs of a stream that has ended.
  var needsReset = false
  /// The log is empty for a stream whose state is not on disk yet: nothing may be written under the old one.
  var needsState = false
  /// A state that the disk refused, to be tried again with the next spill.
  var refusedState: AgentState?
  var isRefused = false
  var notices: [SpoolNotice] = []
  var encoder = BlockEncoder()
  var shapes: [Int: BlockShape] = [:]

  static let logName = "spool"

  /// Opens the spool in the directory `disk`. Never fails; ``takeNotices()`` tells what was found.
  ///
  /// Reads all that is spooled once: about a second for 256 MiB.
  ///
  /// - Parameters:
  ///   - disk: the spool's own directory; `nil` when there is none or it cannot be opened.
  ///   - salt: a random number; see `Sources/RecordLog/FORMAT.md`.
  public init(disk: (any Disk)?, limits: SpoolLimits = SpoolLimits(), salt: UInt32) {
    self.limits = limits
    self.salt = salt
    guard let disk else {
      self.disk = nil
      notices.append(.memoryOnly(reason: "there is no spool directory"))
      return
    }
    do {
      let file = try disk.contents(of: SpoolHead.name, byteCountMax: SpoolHead.fileBytes)
      self.disk = disk
      head = SpoolHead(file: file ?? [])
      if head.state == nil, file != nil { notices.append(.stateLost(reason: "the head file is damaged")) }
    } catch {
      // It may be readable at the next start, so nothing there may be touched.
      self.disk = nil
      notices.append(.memoryOnly(reason: "\(error)"))
      return
    }
    if head.state == nil {
      // Rows whose numbering is not known any more cannot be sent.
      reset()
    } else {
      openLog()
    }
  }

  // MARK: State

  /// Replaces the stored state, durably; `false` when that failed and the old one stands. Without a directory it holds
  /// for this process and the answer is `true`.
  public mutating func store(_ state: AgentState) -> Bool {
    guard let disk else { return true }
    // Rows of an ended stream must not be found under a new one.
    if needsReset { resetAgain() }
    refusedState = state
    guard !needsReset else { return false }
    do {
      try head.store(state, on: disk)
      refusedState = nil
      needsState = false
      return true
    } catch {
      refuse("\(error)")
      return false
    }
  }

  /// Remembers a layout that runs will name. It is written with the first of them. Always succeeds, up to a bound of
  /// layouts per process.
  public mutating func store(_ layout: LayoutAnnouncement) -> Bool {
    if let known = layouts.firstIndex(where: { $0.number == layout.number }) {
      guard layouts[known] != layout else { return true }
      layouts[known] = layout
      shapes[layout.number] = nil
      layoutsInSegment.remove(layout.number)
      return true
    }
    guard layouts.count < SpoolLimits.layoutsMax else { return false }
    layouts.append(layout)
    return true
  }

  // MARK: Letting go

  /// Forgets runs that are stored at the aggregator or consumed. Only whole segments, oldest first, leave the disk.
  public mutating func release(_ durable: SequenceSet) {
    waiting.removeAll { waiting in
      guard durable.containsAll(waiting.run.firstSequence, waiting.run.lastSequence) else { return false }
      waitingBytes -= waiting.bytes.count
      return true
    }
    guard let log, !segments.isEmpty else { return }
    let needed = segments.firstIndex { segment in
      segment.sequences.map { !durable.containsAll($0.lowerBound, $0.upperBound) } ?? false
    }
    do {
      if let needed {
        guard needed > 0 else { return }
        try log.writer.trim(below: segments[needed].firstRecord)
      } else {
        try log.writer.removeAll()
      }
      segments.removeFirst(needed ?? segments.count)
      layoutsInSegment = needed == nil ? [] : layoutsInSegment
      index = nil
    } catch {
      // What stays is released with the next acknowledgement.
      refuse("\(error)")
      if error.isFatal { openLog() }
    }
  }

  /// Gives up everything that is spooled: its numbers belong to a stream that has ended.
  public mutating func reset() {
    waiting.removeAll()
    waitingBytes = 0
    index = nil
    segments.removeAll()
    layoutsInSegment.removeAll()
    needsReset = true
    needsState = disk != nil
    refusedState = nil
    if log == nil { openLog() }
    guard let log else {
      needsReset = disk != nil
      return
    }
    do {
      log.writer.discardStaged()
      try log.writer.removeAll()
      needsReset = false
    } catch {
      refuse("\(error)")
      self.log = nil
    }
  }

  /// Tries to empty the log once more; what waits belongs to the new stream and stays.
  mutating func resetAgain() {
    let kept = (waiting, waitingBytes, refusedState)
    reset()
    (waiting, waitingBytes, refusedState) = kept
  }

  // MARK: Looking

  /// Bytes on disk and waiting in memory.
  public var byteCount: Int64 { (log?.writer.byteCount ?? 0) + Int64(waitingBytes) }

  /// Bytes that the disk has not taken: lost if the process ends now.
  public var memoryByteCount: Int { waitingBytes }

  /// Whether nothing is spooled.
  public var isEmpty: Bool { waiting.isEmpty && segments.allSatisfy { $0.sequences == nil } }

  /// What operators should hear about, since the last call.
  public mutating func takeNotices() -> [SpoolNotice] {
    defer { notices.removeAll() }
    return notices
  }

  // MARK: Inside

  /// Opens the log and reads all of it. Without success rows wait in memory and the next spill tries again.
  mutating func openLog() {
    log = nil
    guard let disk else { return }
    index = nil
    layoutsInSegment.removeAll()
    do {
      let opened = SpoolLog(try LogWriter(disk: disk, log: Self.logName, limits: limits.log, salt: salt))
      segments = []
      if !needsReset { try readAll(disk) }
      log = opened
    } catch {
      refuse("\(error)")
    }
  }

  private mutating func readAll(_ disk: any Disk) throws(LogError) {
    var reader = try LogReader(disk: disk, log: Self.logName, limits: limits.log)
    while let event = try reader.next() {
      switch event {
      case .damage(let damage):
        if damage.cause != .tornTail { notices.append(.damaged("\(damage)")) }
      case .record(let record):
        let segment = reader.place.segment
        if segments.last?.firstRecord != segment { segments.append(SpoolSegment(firstRecord: segment)) }
        reader.withPayload { payload in note(record, payload) }
      }
    }
  }

  private mutating func note(_ record: LogRecord, _ payload: RawSpan) {
    switch SpoolRecord(rawValue: record.kind) {
    case .layout:
      guard let layout = try? LayoutAnnouncement(decoding: payload) else { return }
      if !store(layout) { notices.append(.damaged("more than \(SpoolLimits.layoutsMax) layouts are spooled")) }
    case .run:
      guard let run = SpoolRecord.run(payload) else { return }
      let interval = interval(of: run)
      segments[segments.count - 1].add(run, interval)
      if !run.first.isProvisional, let interval {
        let last = run.lastTick(interval)
        lastTick = max(lastTick ?? last, last)
      }
    case nil: break
    }
  }

  func interval(of run: SpooledRun) -> TickInterval? {
    layouts.first { $0.number == run.layoutNumber }?.layout.interval
  }

  /// Says that the disk refuses, once until it works again.
  mutating func refuse(_ reason: String) {
    if !isRefused { notices.append(.diskRefuses(reason: reason)) }
    isRefused = true
  }

  /// Says that the disk works again, if it did not.
  mutating func works() {
    if isRefused { notices.append(.diskWorks) }
    isRefused = false
  }
}
