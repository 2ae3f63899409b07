import BongsuModel

/// Energy from hardware counters.
///
/// A counter says how much a GPU has drawn since its driver was loaded. Differences between rows, however far apart, add
/// up to the exact total; a counter that starts again from a lower value counts from zero; a difference that no GPU could
/// have drawn is a broken counter and counts as nothing. A GPU without a counter is integrated from its power.
enum EnergyCounter {
  /// Longest time over which a difference is judged, so that ceilings stay in range: the largest GPU reaches 2^53 mJ
  /// after 95 years.
  private static let elapsedMillisecondsMax: Int64 = 366 * 86_400_000

  /// Energy between two counter readings, mJ; 0 when they cannot both be right.
  @inline(__always)
  static func millijoules(from last: Int64, to counter: Int64, ceiling: Int64) -> Int64 {
    let difference = counter >= last ? counter &- last : counter
    return difference >= 0 && difference <= ceiling ? difference : 0
  }

  /// Most that a GPU can have drawn between two rows. Counters refresh about every 100 ms, so a difference may hold a
  /// little more than the time between them.
  static func ceiling(milliwattsMax: Int64, from last: Int64, to time: Int64, interval: Int64) -> Int64 {
    let elapsed = last == .min ? interval : min(elapsedMillisecondsMax, max(0, time &- last))
    return milliwattsMax &* ((elapsed &+ 1000) / 1000 &+ 1)
  }

  /// Energy of all GPUs of `row` since `counters`, which take the row's values; mJ.
  static func advance(
    _ row: borrowing Span<Int64>, _ offsets: RowProgram.Offsets, _ counters: inout [Int64], at base: Int,
    ceiling: Int64,
    interval: Int64
  ) -> Int64 {
    let offset = offsets.energy
    let power = offsets.power
    var sum: Int64 = 0
    for gpu in 0..<offsets.gpus {
      let counter = offset >= 0 ? row[offset &+ gpu] : RowKernel.absent
      let last = counters[base &+ gpu]
      if counter != RowKernel.absent { counters[base &+ gpu] = counter }
      // A counter that is only silent brings this row's energy with its next value.
      if last != RowKernel.absent {
        if counter != RowKernel.absent { sum &+= millijoules(from: last, to: counter, ceiling: ceiling) }
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
    let last = members[position].counterTick
    // A row that was overtaken: the newer counters have counted its energy already.
    guard time > last else { return 0 }
    members[position].counterTick = time
    let interval = members[position].intervalMilliseconds
    return EnergyCounter.advance(
      row, programs[members[position].program].offsets, &counters, at: members[position].counterBase,
      ceiling: EnergyCounter.ceiling(
        milliwattsMax: members[position].traits.gpuMilliwattsMax, from: last, to: time, interval: interval),
      interval: interval)
  }
}
