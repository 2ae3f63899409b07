import BongsuModel

/// Energy from hardware counters.
///
/// A counter says how much a GPU has drawn since its driver was loaded. Differences between rows, however far apart, add
/// up to the exact total; a counter that starts again from a lower value counts from zero; a difference that no GPU could
/// have drawn is a broken counter and counts as nothing. A GPU without a counter is integrated from its power.
enum EnergyCounter {
  /// A counter as it was last read; `value` is `Int64.min` before the first reading.
  struct Reading: Hashable, Sendable, BitwiseCopyable {
    var value = RowKernel.absent
    var time = Int64.min

    var isAbsent: Bool { value == RowKernel.absent }
  }

  /// Longest time over which a difference is judged, so that ceilings stay in range.
  private static let elapsedMillisecondsMax: Int64 = 366 * 86_400_000

  /// Energy between two readings, mJ; 0 when they cannot both be right. `milliwattsMax` is the most a GPU can draw.
  @inline(__always)
  static func millijoules(from last: Reading, to next: Reading, milliwattsMax: Int64) -> Int64 {
    let difference = next.value >= last.value ? next.value &- last.value : next.value
    // What a GPU can draw in one second is possible over any time.
    if difference >= 0 && difference <= milliwattsMax { return difference }
    return isPossible(difference, next.time &- last.time, milliwattsMax) ? difference : 0
  }

  /// Counters refresh about every 100 ms, so a difference may hold a little more than the time between the readings.
  @inline(never)
  private static func isPossible(_ millijoules: Int64, _ elapsed: Int64, _ milliwattsMax: Int64) -> Bool {
    let seconds = min(elapsedMillisecondsMax, max(0, elapsed)) / 1000 &+ 2
    return millijoules >= 0 && millijoules <= milliwattsMax &* seconds
  }

  /// Energy of all GPUs of the row of `time` since `counters`, which take the row's readings; mJ.
  static func advance(
    _ row: borrowing Span<Int64>, _ offsets: RowProgram.Offsets, _ counters: inout [Reading], at base: Int,
    time: Int64, milliwattsMax: Int64, interval: Int64
  ) -> Int64 {
    let offset = offsets.energy
    let power = offsets.power
    var sum: Int64 = 0
    var known = counters.mutableSpan
    for gpu in 0..<offsets.gpus {
      let last = known[base &+ gpu]
      if offset >= 0 && row[offset &+ gpu] != RowKernel.absent {
        let next = Reading(value: row[offset &+ gpu], time: time)
        known[base &+ gpu] = next
        if !last.isAbsent {
          sum &+= millijoules(from: last, to: next, milliwattsMax: milliwattsMax)
          continue
        }
      } else if !last.isAbsent {
        // A counter that is only silent brings this row's energy with its next value.
        continue
      }
      let milliwatts = power >= 0 ? row[power &+ gpu] : RowKernel.absent
      if milliwatts != RowKernel.absent { sum &+= milliwatts &* interval / 1000 }
    }
    return sum
  }
}

extension ShardRollup {
  /// Energy of all GPUs of a member since its newest counters, mJ. Remembers the counters of `row`.
  mutating func energy(_ position: Int, at time: Int64, _ row: borrowing Span<Int64>) -> Int64 {
    // A row that was overtaken: the newer counters have counted its energy already.
    guard time > members[position].counterTick else { return 0 }
    members[position].counterTick = time
    let member = members[position]
    return EnergyCounter.advance(
      row, programs[member.program].offsets, &counters, at: member.counterBase, time: time,
      milliwattsMax: member.traits.gpuMilliwattsMax, interval: member.intervalMilliseconds)
  }
}
