import BongsuRecordLog
import BongsuTestKit
import Testing

/// Random histories against a naive model, with the machine stopping between any two disk calls.
@Suite("Record log crashes")
struct LogCrashTests {
  @Test("every committed record survives, and nothing that was never staged appears", arguments: 0..<400)
  func history(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let disk = SimulatedDisk(seed: seed)
    var model = Model()
    for _ in 0..<8 {
      disk.changesUntilCrash = Int.random(in: 1...60, using: &random)
      disk.capacityBytes =
        Bool.random(using: &random) ? .max : disk.usedBytes + Int64.random(in: 0...3_000, using: &random)
      disk.synchronizeFailurePermille = Int.random(in: 0..<4, using: &random) == 0 ? 30 : 0
      run(disk, &model, &random)
      disk.synchronizeFailurePermille = 0
      disk.capacityBytes = .max
      disk.changesUntilCrash = nil
      if disk.hasCrashed || Bool.random(using: &random) { disk.restart() } else { disk.processDies() }
      try check(disk, &model, seed)
    }
  }

  private struct Model {
    /// Every payload ever staged under a number; a number may be staged again after an uncommitted one was lost.
    var staged: [UInt64: Set<[UInt8]>] = [:]
    /// What a commit confirmed.
    var committed: [UInt64: [UInt8]] = [:]
    /// All below may be gone.
    var trimmed: UInt64 = 1
  }

  /// One life of the process; ends when the disk fails in a way the process cannot go on from.
  private func run(_ disk: SimulatedDisk, _ model: inout Model, _ random: inout SeededRandom) {
    guard
      var writer = try? LogWriter(
        disk: disk, log: "test", limits: smallLimits, salt: UInt32.random(in: 0...(.max), using: &random))
    else { return }
    var open: [UInt64: [UInt8]] = [:]
    for _ in 0..<30 {
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<5:
        let payload = randomPayload(&random)
        guard let number = writer.stage(payload, kind: 1) else { break }
        open[number] = [1] + payload
        model.staged[number, default: []].insert([1] + payload)
      case 5..<9:
        do {
          try writer.commit()
          model.committed.merge(open) { _, new in new }
          open.removeAll()
        } catch {
          if error.isFatal || disk.hasCrashed { return }
        }
      default:
        guard let last = model.committed.keys.max() else { break }
        let number = UInt64.random(in: model.trimmed...max(last, model.trimmed), using: &random)
        model.trimmed = max(model.trimmed, number)
        do { try writer.trim(below: number) } catch { if error.isFatal || disk.hasCrashed { return } }
      }
    }
  }

  private func check(_ disk: SimulatedDisk, _ model: inout Model, _ seed: UInt64) throws {
    let read = try contents(of: disk)
    for (number, record) in model.committed where number >= model.trimmed {
      #expect(read.records[number] == record, "seed \(seed): record \(number) was confirmed")
    }
    for (number, record) in read.records {
      #expect(model.staged[number]?.contains(record) == true, "seed \(seed): record \(number) was never written")
    }
    // A torn batch may leave a hole among records that were never confirmed, and none elsewhere.
    let lostConfirmed = read.lost.filter { $0 >= model.trimmed && model.committed[$0] != nil }
    #expect(lostConfirmed.isEmpty, "seed \(seed): \(read.damage)")
    #expect(read.order == read.order.sorted())
    // What a reader saw after the restart may have been confirmed or not; from now on it must not change.
    var writer = try LogWriter(disk: disk, log: "test", limits: smallLimits, salt: 3)
    try writer.repair()
    for (number, record) in read.records where number >= model.trimmed { model.committed[number] = record }
    let next = writer.nextNumber
    model.committed = model.committed.filter { $0.key < next || $0.key < model.trimmed }
    model.staged = model.staged.filter { $0.key < next }
  }
}
