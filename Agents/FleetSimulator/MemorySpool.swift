import BongsuCodec
import BongsuModel
import BongsuWire

/// A simulated agent's spool: packed runs in memory, bounded, oldest dropped first. It ends with the process, as a node
/// without a disk would.
struct MemorySpool {
  /// Bytes of payload one node may hold: an hour of eight GPUs.
  static let bytesMax = 512 << 10

  private(set) var bytes = 0
  private var runs: [(run: SpooledRun, payload: [UInt8])] = []

  var isEmpty: Bool { runs.isEmpty }

  /// Takes a packed run; what had to make room for it is added to `losses`.
  mutating func append(_ run: SpooledRun, payload: [UInt8], interval: TickInterval, losses: inout [SpoolLoss]) {
    runs.append((run, payload))
    bytes += payload.count
    while bytes > Self.bytesMax, runs.count > 1 {
      let oldest = runs.removeFirst()
      bytes -= oldest.payload.count
      losses.append(
        SpoolLoss(
          sequences: oldest.run.firstSequence...oldest.run.lastSequence,
          ticks: oldest.run.first.isProvisional ? nil : oldest.run.first.tick...oldest.run.lastTick(interval),
          reason: .spoolOverflow))
    }
  }

  /// Forgets runs that are acknowledged whole.
  mutating func release(_ durable: SequenceSet) {
    runs.removeAll { entry in
      guard durable.containsAll(entry.run.firstSequence, entry.run.lastSequence) else { return false }
      bytes -= entry.payload.count
      return true
    }
  }

  /// The run with the lowest numbers among those that end at or after `sequence`.
  func run(endingAtOrAfter sequence: UInt64) -> SpooledRun? {
    runs.lazy.map(\.run).filter { $0.lastSequence >= sequence }.min { $0.firstSequence < $1.firstSequence }
  }

  /// The payload of `run`; `nil` when it is gone.
  func payload(of run: SpooledRun) -> [UInt8]? {
    runs.first { $0.run == run }?.payload
  }

  mutating func removeAll() {
    runs.removeAll()
    bytes = 0
  }
}
