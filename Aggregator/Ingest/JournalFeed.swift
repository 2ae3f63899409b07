internal import BongsuRing

/// The shard's side of its journal: fills batches and hands them over.
///
/// A batch goes when the writer is idle and the first record has waited for ``gatherNanoseconds``, or at once when it is
/// large. So a busy shard pays one `fdatasync` for thousands of blocks, and a quiet one none while nothing comes.
struct JournalFeed: ~Copyable {
  /// How long records gather. Acknowledgements are gathered for much longer, so this delays nobody.
  static let gatherNanoseconds: Int64 = 50_000_000
  /// Batches of one shard: what may wait while the disk refuses, before the shard stops taking frames.
  static let slotCount = 64

  private let slots: [JournalBatch]
  private var free: [Int32]
  private var ring: RingProducer<Int32>
  private var current: Int32?
  /// Number of the record appended next.
  private(set) var nextRecord: UInt64
  /// All records up to here are on disk.
  private(set) var committed: UInt64
  /// Bytes put into the present segment, and its running number.
  private var segmentBytes = 0
  private(set) var segment: UInt32 = 1
  private var startsSegment: Bool
  /// When its first batch was opened, monotonic nanoseconds; `nil` before.
  private var segmentOpenedAt: Int64?
  private let segmentBytesMax: Int

  /// A segment that has this many bytes ends at this age, for readers begin at the start of one: where few nodes send,
  /// they would else decode hours to read the last minutes. Bytes, so that small fleets do not fill a folder with files.
  static let segmentAgeNanoseconds: Int64 = 120_000_000_000
  static let segmentBytesMin = 4 << 20
  /// One of this age ends at the turn of a minute already: who forms a minute then reads little more than its rows. By that
  /// time, milliseconds into the minute, its first tick has not been sent and that of the minute before has arrived.
  static let turnAgeNanoseconds: Int64 = 30_000_000_000
  static let turn: Range<Int64> = 500..<1000

  init(slots: [JournalBatch], ring: consuming RingProducer<Int32>, nextRecord: UInt64, segmentBytesMax: Int) {
    self.slots = slots
    self.ring = ring
    self.nextRecord = nextRecord
    self.segmentBytesMax = segmentBytesMax
    committed = nextRecord - 1
    free = slots.indices.map { Int32($0) }
    // What is in an earlier process's segment cannot be relied on for bases: sessions begin anew, and so does it.
    startsSegment = true
  }

  /// Whether another record can be taken. When not, the shard has to wait for a commit.
  var hasRoom: Bool { current != nil || !free.isEmpty }

  /// Appends a record: what `body` appends to the buffer. Returns its number.
  ///
  /// - Precondition: ``hasRoom``.
  mutating func append(now: Int64, _ body: (inout [UInt8]) -> Void) -> UInt64 {
    if current == nil {
      guard let slot = free.popLast() else { preconditionFailure("no journal batch is free") }
      current = slot
      slots[Int(slot)].startsSegment = startsSegment
      startsSegment = false
    }
    guard let current else { preconditionFailure("a batch is open") }
    if segmentOpenedAt == nil { segmentOpenedAt = now }
    let batch = slots[Int(current)]
    let before = batch.byteCount
    batch.append(now: now, body)
    segmentBytes += batch.byteCount - before
    defer { nextRecord += 1 }
    return nextRecord
  }

  /// Hands the open batch over if it is due. Returns how long it may still wait, nanoseconds; `nil` when none is open.
  ///
  /// - Parameters:
  ///   - now: monotonic, nanoseconds.
  ///   - wall: the same instant since 1970, milliseconds.
  mutating func handOver(now: Int64, wall: Int64, isForced: Bool = false) -> Int64? {
    guard let slot = current else { return nil }
    let batch = slots[Int(slot)]
    let waited = now - batch.openedAt
    let isDue = waited >= Self.gatherNanoseconds || batch.byteCount >= JournalBatch.handoverBytes
    guard isDue || isForced else { return Self.gatherNanoseconds - waited }
    // The ring holds as many as there are slots, so it is never full.
    guard ring.tryPush(slot) else { return 1_000_000 }
    current = nil
    let age = now - (segmentOpenedAt ?? now)
    let isTurn = age >= Self.turnAgeNanoseconds && Self.turn.contains(wall % 60_000)
    let isOld = segmentBytes >= Self.segmentBytesMin && (isTurn || age >= Self.segmentAgeNanoseconds)
    if segmentBytes >= segmentBytesMax || isOld {
      segmentBytes = 0
      segmentOpenedAt = nil
      segment += 1
      startsSegment = true
    }
    return nil
  }

  /// Takes a batch back after its commit.
  mutating func commit(slot: Int32, upTo record: UInt64) {
    slots[Int(slot)].reset()
    free.append(slot)
    committed = max(committed, record)
  }

  /// Records that are not on disk yet.
  var pending: UInt64 { nextRecord - 1 - committed }
}
