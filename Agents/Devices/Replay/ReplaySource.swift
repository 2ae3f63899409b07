public import BongsuModel

/// A recorded run as live input.
///
/// The recording starts with the first tick that is read. Each tick gets the last recorded value at or before it, and
/// none where the last one is older than ``DeviceLimits/recordedGapMilliseconds`` of recorded time: gaps are not
/// bridged.
///
/// Where the recording has no energy counter, one is integrated from its power, exactly: every recorded power lasts
/// until the next sample (or until it is too old), and energy is that step function's integral in microjoules, cut to
/// millijoules. Faster replay shortens the time that each sample lasts, so the counter always matches the power shown;
/// from one round of a loop to the next it goes on.
public final class ReplaySource: DeviceSource {
  public let name: String
  public let mayBlock = false
  public private(set) var condition: SourceCondition

  private let options: ReplayOptions
  private let recording: Recording
  private let inventory: SourceInventory
  private let columns: [Column]
  private let round: Int64
  private let line: String
  private var start: Tick?

  /// Where the values of one column of one device come from.
  private struct Column {
    let series: RecordedSeries
    /// For an integrated counter: microjoules from the beginning to each sample, and over a whole round.
    var energy: [Int64] = []
    var roundEnergy: Int64 = 0
    var isCounter = false
  }

  /// Reads and checks the recording.
  public init(_ options: ReplayOptions) throws(SourceSetError) {
    self.options = options
    name = "replay:\(options.file)"
    do {
      recording = try Recording(path: options.file, run: options.run, node: options.node)
    } catch {
      throw .recording(error.description)
    }
    let length = recording.lastMilliseconds - recording.firstMilliseconds
    // The last sample of a round lasts as long as samples do on average.
    let round = length + max(length / Int64(max(recording.samples - 1, 1)), 1)
    self.round = round
    (inventory, columns) = Self.layOut(recording, options, round: round)
    line =
      "recording \(recording.run) of node \(recording.node), \(recording.gpus.count) GPUs, \(length / 1000) s"
      + (options.speed == 1 ? "" : ", \(options.speed) times faster") + (options.loops ? ", looping" : "")
    condition = .available(line)
  }

  public func discover() -> SourceInventory {
    if condition == .released { condition = .available(line) }
    return inventory
  }

  public func release() { condition = .released }

  public func read(_ tick: Tick, into values: inout MutableSpan<Int64>) -> ReadOutcome {
    precondition(values.count == columns.count)
    let start = start ?? tick
    self.start = start
    var position = (tick.unixMilliseconds - start.unixMilliseconds) * Int64(options.speed)
    var rounds: Int64 = 0
    if options.loops, position >= round {
      rounds = position / round
      position -= rounds * round
    }
    let isOver = position >= round
    if condition != .released {
      condition = isOver ? .unavailable("\(line), has ended; add ,loop to repeat it") : .available(line)
    }
    for index in columns.indices {
      values[index] =
        isOver || condition == .released
        ? SampleValue.absent.bits : value(columns[index], at: position, rounds: rounds).bits
    }
    return .complete
  }

  private func value(_ column: Column, at position: Int64, rounds: Int64) -> SampleValue {
    let series = column.series
    guard let index = series.index(at: position) else { return .absent }
    let age = position - Int64(series.times[index])
    guard age <= DeviceLimits.recordedGapMilliseconds else { return .absent }
    // Microjoules of many rounds outgrow 64 bits long before their millijoules outgrow a reading.
    let speed = Int128(options.speed)
    if !column.energy.isEmpty {
      let round = Int128(column.energy[index]) + Int128(series.values[index]) * Int128(age)
      return SampleValue(Int64(clamping: (Int128(rounds) * Int128(column.roundEnergy) + round) / (1000 * speed)))
    }
    guard column.isCounter, let first = series.values.first, let last = series.values.last else {
      return SampleValue(series.values[index])
    }
    let growth = Int128(series.values[index] - first) + Int128(rounds) * Int128(last - first)
    return SampleValue(Int64(clamping: Int128(first) + growth / speed))
  }

  private static func layOut(
    _ recording: Recording, _ options: ReplayOptions, round: Int64
  ) -> (SourceInventory, [Column]) {
    let prefix = options.key ?? "\(recording.run)-\(recording.node)"
    let devices = recording.gpus.map { gpu in
      Device(scope: .gpu, index: gpu, key: "REPLAY-\(prefix)-\(gpu)", model: options.model)
    }
    var metrics = Set(recording.series.keys.map(\.metric))
    let integratesEnergy = metrics.contains(.gpuPower) && !metrics.contains(.gpuEnergy)
    if integratesEnergy { metrics.insert(.gpuEnergy) }
    let inventory = SourceInventory(metrics: metrics.sorted(), devices: devices)
    let columns = inventory.columns.flatMap { metric -> [Column] in
      let owners: [UInt16?] = metric.scope == .node ? [nil] : recording.gpus.map { $0 }
      return owners.map { gpu in
        if metric.id == .gpuEnergy, integratesEnergy {
          return integrated(recording.series[Recording.Key(gpu: gpu, metric: .gpuPower)], round: round)
        }
        let series = recording.series[Recording.Key(gpu: gpu, metric: metric.id)]
        return Column(series: series ?? RecordedSeries(times: [], values: []), isCounter: metric.kind == .counter)
      }
    }
    return (inventory, columns)
  }

  private static func integrated(_ power: RecordedSeries?, round: Int64) -> Column {
    guard let power, !power.times.isEmpty else { return Column(series: RecordedSeries(times: [], values: [])) }
    var energy: [Int64] = []
    energy.reserveCapacity(power.times.count)
    var total: Int64 = 0
    for index in power.times.indices {
      energy.append(total)
      let end = index + 1 < power.times.count ? Int64(power.times[index + 1]) : round
      total += power.values[index] * min(end - Int64(power.times[index]), DeviceLimits.recordedGapMilliseconds)
    }
    return Column(series: power, energy: energy, roundEnergy: total)
  }
}
