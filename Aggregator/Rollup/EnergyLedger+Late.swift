import BongsuModel

/// A stretch of a node's ticks from which rows may still come, and what its row behind the stretch counted for them.
///
///     … rows │ after     late rows ─▶ chain   …                 │ until: rows …
///            └ left: newest counters before                     └ right: first counters behind, `counted`: from left to right
struct EnergyHole: Hashable, Sendable {
  /// Newest tick before it or in it so far; `Int64.min` when the node had none before.
  var chain: Int64
  let until: Int64
  var left: [EnergyCounter.Reading]
  /// Absent while the counter is silent.
  var right: [EnergyCounter.Reading] = []
  var counted: [Int64] = []

  /// Whether a counter that was read before it, or is expected, was not read behind it yet.
  func awaitsEnd(hasCounters: Bool) -> Bool { hasCounters && right.contains { $0.isAbsent } }
}

extension EnergyLedger {
  /// What a row says of one GPU.
  private struct Sample {
    var counter: EnergyCounter.Reading
    /// Energy of the row's own interval by its power; 0 without a reading.
    var integrated: Int64
  }

  private func sample(_ node: Node, _ gpu: Int, at time: Int64, _ row: borrowing Span<Int64>) -> Sample {
    let value = node.energyOffset >= 0 ? row[Int(node.energyOffset) + gpu] : RowKernel.absent
    let power = node.powerOffset >= 0 ? row[Int(node.powerOffset) + gpu] : RowKernel.absent
    return Sample(
      counter: value == RowKernel.absent ? EnergyCounter.Reading() : EnergyCounter.Reading(value: value, time: time),
      integrated: power == RowKernel.absent ? 0 : power &* node.interval / 1000)
  }

  /// Remembers the hole that the row of `until` ends, before that row is counted.
  mutating func beginHole(_ number: Int, until: Int64, _ row: borrowing Span<Int64>) {
    let node = nodes[number]
    let range = node.base..<node.base + Int(node.gpus)
    var hole = EnergyHole(chain: node.newest, until: until, left: Array(readings[range]))
    for gpu in 0..<Int(node.gpus) {
      let sample = sample(node, gpu, at: until, row)
      hole.right.append(sample.counter)
      hole.counted.append(counted(hole.left[gpu], sample, node))
    }
    var all = holes[Int32(number)] ?? []
    all.append(hole)
    keep(Array(all.suffix(Limits.energyGapsMax)), number)
  }

  /// What a row's counter adds when the one before was `last`; 0 while it is silent.
  private func counted(_ last: EnergyCounter.Reading, _ sample: Sample, _ node: Node) -> Int64 {
    if sample.counter.isAbsent { return 0 }
    if last.isAbsent { return sample.integrated }
    return EnergyCounter.millijoules(from: last, to: sample.counter, milliwattsMax: node.milliwattsMax)
  }

  /// Notes the first readings behind holes of counters that were silent at their ends, before the row is counted.
  mutating func endHoles(_ number: Int, at time: Int64, _ row: borrowing Span<Int64>) {
    let node = nodes[number]
    guard var all = holes[Int32(number)] else { return }
    for gpu in 0..<Int(node.gpus) {
      let sample = sample(node, gpu, at: time, row)
      guard !sample.counter.isAbsent else { continue }
      for index in all.indices where all[index].right[gpu].isAbsent {
        all[index].right[gpu] = sample.counter
        all[index].counted[gpu] = counted(readings[node.base + gpu], sample, node)
      }
    }
    keep(all, number)
  }

  mutating func keep(_ all: [EnergyHole], _ number: Int) {
    holes[Int32(number)] = all.isEmpty ? nil : all
    let hasCounters = nodes[number].energyOffset >= 0
    nodes[number].hasHoles = !all.isEmpty
    nodes[number].oldestHole = all.first?.until ?? .max
    nodes[number].awaitsEnd = all.contains { $0.awaitsEnd(hasCounters: hasCounters) }
  }

  mutating func forgetHoles(_ number: Int) { keep([], number) }

  /// After a day late rows bring what counters say, and spread it no more.
  mutating func dropOldHoles(_ number: Int, at time: Int64) {
    keep((holes[Int32(number)] ?? []).filter { time &- $0.until <= Limits.energyHoleMilliseconds }, number)
  }

  /// Counts a row that is older than the newest.
  mutating func addLate(_ number: Int, at time: Int64, _ row: borrowing Span<Int64>) {
    let node = nodes[number]
    let behind = (node.newest &- time) / node.interval
    if (0..<64).contains(behind) {
      let bit = UInt64(1) << UInt64(behind)
      guard node.delivered & bit == 0 else { return }
      nodes[number].delivered |= bit
    }
    let leaf = leaf(of: number, at: time)
    guard var all = holes[Int32(number)],
      let index = all.firstIndex(where: { $0.chain < time && time < $0.until })
    else {
      credit(number, leaf, withoutCounter(node, at: time, row))
      return
    }
    var joules: Int64 = 0
    var correction: Int64 = 0
    for gpu in 0..<Int(node.gpus) {
      let sample = sample(node, gpu, at: time, row)
      let left = all[index].left[gpu]
      if sample.counter.isAbsent {
        if left.isAbsent { joules &+= sample.integrated }
        continue
      }
      joules &+= counted(left, sample, node)
      correction &+= link(sample, gpu, in: &all, index, node)
    }
    let until = all[index].until
    all[index].chain = time
    // Late rows come in order, so nothing is left in front of the last one.
    if time &+ node.interval >= until { all.remove(at: index) }
    keep(all, number)
    let end = self.leaf(of: number, at: until)
    if end == leaf {
      credit(number, leaf, joules &+ correction)
    } else {
      credit(number, leaf, joules)
      credit(number, end, correction)
    }
  }

  /// Energy of a late row in no hole: newer counters have it already, but of GPUs that have none.
  private func withoutCounter(_ node: Node, at time: Int64, _ row: borrowing Span<Int64>) -> Int64 {
    var joules: Int64 = 0
    for gpu in 0..<Int(node.gpus) where readings[node.base + gpu].isAbsent {
      let sample = sample(node, gpu, at: time, row)
      if sample.counter.isAbsent { joules &+= sample.integrated }
    }
    return joules
  }

  /// Puts a counter of a late row between those before and behind it; returns what that changes behind it.
  private mutating func link(
    _ sample: Sample, _ gpu: Int, in all: inout [EnergyHole], _ index: Int, _ node: Node
  ) -> Int64 {
    let counter = sample.counter
    let left = all[index].left[gpu]
    let right = all[index].right[gpu]
    var change: Int64 = 0
    if right.isAbsent {
      // The next reading will count from here.
      if readings[node.base + gpu] == left { readings[node.base + gpu] = counter }
    } else {
      let rest = EnergyCounter.millijoules(from: counter, to: right, milliwattsMax: node.milliwattsMax)
      change = rest &- all[index].counted[gpu]
      all[index].counted[gpu] = rest
    }
    all[index].left[gpu] = counter
    // Other holes with no reading between them and this one have the same neighbours.
    for other in all.indices where other != index {
      if other > index, all[other].left[gpu] == left {
        all[other].left[gpu] = counter
        all[other].counted[gpu] = all[index].counted[gpu]
      } else if other < index, all[other].right[gpu] == right {
        all[other].right[gpu] = counter
        all[other].counted[gpu] = counted(all[other].left[gpu], sample, node)
      }
    }
    return change
  }
}
