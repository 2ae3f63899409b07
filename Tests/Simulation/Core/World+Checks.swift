import BongsuModel
import BongsuWire

extension World {
  /// Compares what is stored with the model, sample by sample, and the tiers with what is stored.
  func check() {
    guard let aggregator else { return fail("there is no aggregator at the end") }
    var storedAt: [Int: (node: Int, tick: Int64)] = [:]
    for (key, id) in aggregator.raw.rows {
      if let other = storedAt[id] { fail("sample \(id) is stored at \(other.tick) and at \(key.tick)") }
      storedAt[id] = (key.node, key.tick)
    }
    let gaps = Dictionary(grouping: aggregator.raw.gaps) { Int($0.node.rawValue) }
    for (id, sample) in ledger.samples.enumerated() {
      if let stored = storedAt[id] {
        checkPlace(id, sample, stored.tick)
      } else {
        checkLoss(id, sample, gaps[sample.node] ?? [], aggregator)
      }
    }
    checkWindows(aggregator)
    checkClones()
  }

  /// A stored row lies at its tick; one whose label was corrected lies near the true time.
  private func checkPlace(_ id: Int, _ sample: Ledger.Sample, _ tick: Int64) {
    if !sample.stamp.isProvisional {
      if tick != sample.stamp.tick.unixMilliseconds {
        fail("sample \(id) was taken at tick \(sample.stamp.tick.unixMilliseconds) and is stored at \(tick)")
      }
    }
    // Tolerance, half of the longest round trip, one interval.
    let limit = TickClock.toleranceMilliseconds + 3500 + Int64(scenario.intervalMilliseconds)
    if abs(tick - sample.trueUnix) > limit, !machines[sample.machine].hasForgottenBoot {
      fail(
        "sample \(id) was taken at \(sample.trueUnix) and is stored at tick \(tick), \(tick - sample.trueUnix) ms off")
    }
  }

  /// A missing row has an excuse and a gap.
  private func checkLoss(_ id: Int, _ sample: Ledger.Sample, _ gaps: [JournalGap], _ aggregator: AggregatorProcess) {
    // Two runs within one interval may sample the same tick; it counts once.
    let step = Int64(scenario.intervalMilliseconds)
    let near =
      sample.stamp.isProvisional ? sample.trueUnix.flooredDivision(by: step) * step : sample.stamp.tick.unixMilliseconds
    let reach = sample.stamp.isProvisional ? 1 : 0
    let isTaken = (-reach...reach).contains { distance in
      aggregator.raw.rows[RawTier.Key(node: sample.node, tick: near + Int64(distance) * step)] != nil
    }
    guard let excuse = sample.excuse ?? (isTaken ? "its tick is stored" : nil) else {
      return fail(
        "sample \(id) of machine \(sample.machine) (sequence \(sample.sequence), tick \(sample.stamp.tick.unixMilliseconds), "
          + "acknowledged \(sample.isAcknowledged)) is lost without a reason")
    }
    if isTaken { return }
    let tick = sample.stamp.isProvisional ? sample.trueUnix : sample.stamp.tick.unixMilliseconds
    // A provisional label is rounded down when it becomes final.
    let slack = sample.stamp.isProvisional ? Int64(scenario.intervalMilliseconds) + 2000 : 0
    let isCovered = gaps.contains { gap in
      guard let ticks = gap.ticks else { return false }
      return ticks.lowerBound.unixMilliseconds - slack <= tick && tick <= ticks.upperBound.unixMilliseconds + slack
    }
    if !isCovered, !machines[sample.machine].isRetired {
      fail(
        "sample \(id) of machine \(sample.machine) (acknowledged \(sample.isAcknowledged), sequence \(sample.sequence), tick \(tick)) is lost (\(excuse)), and no gap covers it: "
          + "\(gaps.map { "\($0.reason) \($0.sequences.map { "\($0)" } ?? "-") \($0.ticks.map { "\($0.lowerBound.unixMilliseconds)...\($0.upperBound.unixMilliseconds)" } ?? "-")" })"
      )
    }
  }

  /// The windows equal those that a naive pass over the stored samples gives.
  private func checkWindows(_ aggregator: AggregatorProcess) {
    var expected = WindowTier()
    var words: [Int64] = []
    for (key, id) in aggregator.raw.rows {
      Ledger.row(of: id, width: ledger.samples[id].width, into: &words)
      expected.add(node: key.node, tick: key.tick, row: words[...])
    }
    if expected.cells != aggregator.windows.cells { fail("rollups differ from those of an undisturbed run") }
  }

  /// Two machines that spoke with one key in turns have been reported.
  private func checkClones() {
    for node in cloned.sorted() where alternated.contains(node) && !cloneAlarms.contains(node) {
      fail("node \(node): one key was used by two machines in turns and nothing was said")
    }
  }
}
