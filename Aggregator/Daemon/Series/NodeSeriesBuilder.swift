import BongsuFleet
import BongsuModel
import BongsuSeries
import BongsuStore

/// Turns the stored runs of one node into series: one buffer for each label set, stale markers where a series ends.
///
/// Stale markers are not stored; they follow from the rows. A series that misses more than three ticks ends one
/// millisecond behind the third. One whose device is gone from the node's layout, or whose node belongs to another
/// allocation now, ends at the first row that says so, so that no GPU counts twice.
struct NodeSeriesBuilder {
  private(set) var sets: [LabelSet] = []
  private(set) var buffers: [SampleBuffer] = []
  private var positions: [LabelSet: Int] = [:]
  private var isOpen: [Bool] = []
  private var intervals: [Int64] = []
  private(set) var sampleCount = 0

  /// Adds the part of a run that one set of labels holds for.
  ///
  /// - Parameters:
  ///   - ticks: positions in the run, not empty.
  ///   - wants: whether a column, and a device, is meant.
  mutating func add(
    _ run: RawRun, _ ticks: Range<Int>, _ labels: LiveNodeLabels, wantsColumn: (Metric) -> Bool,
    wantsDevice: (LabelSet) -> Bool
  ) {
    let interval = Int64(run.layout.interval.milliseconds)
    let start = run.ticks[ticks.lowerBound].unixMilliseconds
    let times = run.ticks[ticks].map(\.unixMilliseconds)
    // Nothing ends between two ticks: as good as always.
    let isDense = zip(times, times.dropFirst()).allSatisfy { $1 - $0 <= 3 * interval }
    var present = Set<Int>()
    for column in run.columns {
      let metric = run.layout.columns[column]
      guard wantsColumn(metric) else { continue }
      for (device, set) in labels.devices(metric.scope).enumerated() where wantsDevice(set) {
        let position = position(of: set.named(metric.name))
        present.insert(position)
        if isDense, buffers[position].isEmpty, put(run, ticks, times, column, device, metric.unit, to: position) {
          isOpen[position] = true
          intervals[position] = interval
          continue
        }
        append(run, ticks, column, device, metric.unit, interval, to: position)
      }
    }
    // What this stretch has no place for has ended.
    for position in sets.indices where isOpen[position] && !present.contains(position) {
      end(position, at: start)
    }
  }

  /// Ends what has gone silent by `instant`.
  mutating func finish(at instant: Int64) {
    for position in sets.indices where isOpen[position] {
      guard let last = buffers[position].timestamps.last else { continue }
      let staleAt = last + 3 * intervals[position] + 1
      if staleAt <= instant { buffers[position].append(timestamp: staleAt, value: StaleMarker.value) }
    }
  }

  /// Makes a stretch without absent readings the first of a series; `false`, and nothing changed, when there are some. The
  /// times are shared by all devices of the node.
  private mutating func put(
    _ run: RawRun, _ ticks: Range<Int>, _ times: [Int64], _ column: Int, _ device: Int, _ unit: WireUnit,
    to position: Int
  ) -> Bool {
    let series = run.series(column: column, device: device)
    let words = series[(series.startIndex + ticks.lowerBound)..<(series.startIndex + ticks.upperBound)]
    guard words.allSatisfy({ !SampleValue(bits: $0).isAbsent }) else { return false }
    let (numerator, denominator) = (unit.exposedNumerator, unit.exposedDenominator)
    buffers[position] = SampleBuffer(
      timestamps: times, values: words.map { Double($0) * numerator / denominator })
    sampleCount += times.count
    return true
  }

  private mutating func append(
    _ run: RawRun, _ ticks: Range<Int>, _ column: Int, _ device: Int, _ unit: WireUnit, _ interval: Int64,
    to position: Int
  ) {
    let words = run.series(column: column, device: device)
    let base = words.startIndex
    // Moved out and back, so that appending never copies.
    var buffer = SampleBuffer()
    swap(&buffer, &buffers[position])
    defer { swap(&buffer, &buffers[position]) }
    if buffer.isEmpty { buffer.reserve(ticks.count + 1) }
    var last = isOpen[position] ? buffer.timestamps.last ?? .max : .max
    for index in ticks {
      guard let reading = SampleValue(bits: words[base + index]).reading else { continue }
      let tick = run.ticks[index].unixMilliseconds
      if last != .max, tick - last > 3 * interval {
        buffer.append(timestamp: last + 3 * interval + 1, value: StaleMarker.value)
        sampleCount += 1
      }
      buffer.append(timestamp: tick, value: unit.exposed(reading))
      sampleCount += 1
      last = tick
    }
    if last != .max {
      isOpen[position] = true
      intervals[position] = interval
    }
  }

  private mutating func end(_ position: Int, at start: Int64) {
    guard let last = buffers[position].timestamps.last else { return }
    let staleAt = min(start, last + 3 * intervals[position] + 1)
    if staleAt > last { buffers[position].append(timestamp: staleAt, value: StaleMarker.value) }
    isOpen[position] = false
  }

  private mutating func position(of set: LabelSet) -> Int {
    if let known = positions[set] { return known }
    positions[set] = sets.count
    sets.append(set)
    buffers.append(SampleBuffer())
    isOpen.append(false)
    intervals.append(0)
    return sets.count - 1
  }
}
