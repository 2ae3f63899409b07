import BongsuCodec
import BongsuModel
import BongsuRecordLog
import BongsuSpool
import BongsuTestKit
import BongsuWire

/// A small row: three metrics of two GPUs.
let smallLayout = layout(gpus: 2, metrics: [.gpuPower, .gpuEnergy, .gpuUtilization])

func layout(gpus: Int, metrics: [MetricID]) -> RowLayout {
  let devices = (0..<gpus).map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\($0)", model: "B200") }
  // The catalogue holds these metrics and the devices differ, so the layout is valid.
  return try! RowLayout(interval: .second, columns: metrics.map { MetricCatalogue.metric($0)! }, devices: devices)
}

/// The values of row `sequence`: whatever else happens, a row that is read must hold these.
func values(of sequence: UInt64, width: Int, stream: UInt64) -> [Int64] {
  var random = SeededRandom(seed: sequence &* 31 &+ stream)
  return (0..<width).map { column in
    let base = Int64(column) * 1_000 + Int64(sequence % 50)
    return Int.random(in: 0..<20, using: &random) == 0 ? .min : base + Int64.random(in: 0...40, using: &random)
  }
}

/// The tick of row `sequence`: one a second.
func tick(of sequence: UInt64) -> Tick { Tick(unixMilliseconds: 1_800_000_000_000 + Int64(sequence) * 1_000) }

func run(_ first: UInt64, _ count: Int, layout: Int = 1) -> SpooledRun {
  SpooledRun(
    firstSequence: first, rowCount: count, layoutNumber: layout,
    first: TickStamp(
      tick: tick(of: first), boottimeMilliseconds: Int64(first) * 1_000 + 7, isProvisional: false,
      isCorrected: first % 3 == 0),
    boot: BootID(rawValue: 99))
}

func rows(_ first: UInt64, _ count: Int, stream: UInt64, layout: RowLayout = smallLayout) -> [Int64] {
  (0..<UInt64(count)).flatMap { values(of: first + $0, width: layout.width, stream: stream) }
}

/// A spool behind a reference, which the expectation macros can look into.
final class OpenSpool {
  private var spool: Spool

  init(disk: (any Disk)?, limits: SpoolLimits = SpoolLimits(), salt: UInt32) {
    spool = Spool(disk: disk, limits: limits, salt: salt)
  }

  var state: AgentState? { spool.state }
  var layouts: [LayoutAnnouncement] { spool.layouts }
  var lastTick: Tick? { spool.lastTick }
  var isEmpty: Bool { spool.isEmpty }
  var byteCount: Int64 { spool.byteCount }
  var memoryByteCount: Int { spool.memoryByteCount }

  func store(_ state: AgentState) -> Bool { spool.store(state) }
  func store(_ layout: LayoutAnnouncement) -> Bool { spool.store(layout) }
  func release(_ durable: SequenceSet) { spool.release(durable) }
  func reset() { spool.reset() }
  func takeNotices() -> [SpoolNotice] { spool.takeNotices() }

  func spill(_ run: SpooledRun, rows: [Int64], losses: inout [SpoolLoss]) -> Bool {
    spool.spill(run, rows: rows, losses: &losses)
  }

  /// Spills rows with their expected values; the losses.
  func put(_ first: UInt64, _ count: Int, stream: UInt64) -> [SpoolLoss] {
    var losses: [SpoolLoss] = []
    let isTaken = spill(run(first, count), rows: rows(first, count, stream: stream), losses: &losses)
    precondition(isTaken)
    return losses
  }

  /// Walks all runs as a session drains them: by asking from behind each answer.
  func allRuns() -> [SpooledRun] {
    var found: [SpooledRun] = []
    var next: UInt64 = 1
    while let run = spool.spooledRun(endingAtOrAfter: next) {
      precondition(run.lastSequence >= next)
      found.append(run)
      next = run.lastSequence + 1
    }
    return found
  }

  /// Numbers and values of every row that can be read.
  func allRows() throws -> [UInt64: [Int64]] {
    var found: [UInt64: [Int64]] = [:]
    var decoder = BlockDecoder()
    for run in allRuns() {
      var payload: [UInt8] = []
      guard spool.readSpooled(run, appendingTo: &payload) else { continue }
      guard let layout = layouts.first(where: { $0.number == run.layoutNumber })?.layout else {
        throw UnknownLayout(number: run.layoutNumber)
      }
      var words = [Int64](repeating: 0, count: run.rowCount * layout.width)
      var span = words.mutableSpan
      let count = try unsafe decoder.decode(payload.span.bytes, shape: BlockShape(layout), base: nil, into: &span)
      precondition(count == run.rowCount)
      for row in 0..<count {
        found[run.firstSequence + UInt64(row)] = Array(words[(row * layout.width)..<((row + 1) * layout.width)])
      }
    }
    return found
  }
}

struct UnknownLayout: Error {
  let number: Int
}

func durable(through floor: UInt64) -> SequenceSet { SequenceSet(floor: floor) }
