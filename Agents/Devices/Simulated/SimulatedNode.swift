public import BongsuModel

/// A node of generated GPUs: deterministic rows for any tick from a seed, at the cost of a few dozen nanoseconds a GPU.
///
/// Everything is a pure function of configuration and tick; the stored state only saves recomputing. Energy is the
/// primary quantity: a closed-form function of time (see `SimulatedSchedule`), plus noise that telescopes, so the
/// counter is exact at any instant, also after a jump. Mean power is the counter's own difference over the tick, so both
/// always agree. Nodes with the same job seed run the same jobs and step together.
public struct SimulatedNode: Sendable {
  /// What is simulated.
  public struct Configuration: Hashable, Sendable {
    /// The GPUs' product.
    public var model: GPUModel = GPUModel.model("B200") ?? GPUModel.all[0]
    /// 1 to ``SimulatedNode/gpusMax``.
    public var gpuCount = 8
    /// Tells this node's GPUs from those of all others: UUIDs, spread of power and temperature, noise.
    public var seed: UInt64 = 1
    /// Nodes with the same job seed work together.
    public var jobSeed: UInt64 = 1
    public var workload = SimulatedWorkload.mixed
    /// Whether the node has a power meter of its own (``MetricID/nodePower``).
    public var hasMeter = false

    /// Eight B200 with seed 1.
    public init() {}

    /// A node of `model` with its usual number of GPUs, without a meter.
    public init(model: GPUModel, seed: UInt64, jobSeed: UInt64, workload: SimulatedWorkload = .mixed) {
      self.model = model
      gpuCount = model.gpusPerNode
      self.seed = seed
      self.jobSeed = jobSeed
      self.workload = workload
    }
  }

  /// GPUs of one node.
  public static let gpusMax = 64

  /// The columns of the GPUs, in row order.
  public static let gpuMetrics: [MetricID] = [
    .gpuPower, .gpuPowerMin, .gpuPowerMax, .gpuPowerLimit, .gpuEnergy, .gpuUtilization, .gpuMemoryUtilization,
    .gpuMemoryUsed, .gpuTemperature, .gpuMemoryTemperature, .gpuSMClock, .gpuMemoryClock, .gpuClockEventReasons,
    .gpuECCUncorrected,
  ]

  public let configuration: Configuration
  private var schedule: SimulatedSchedule
  private let gpus: [SimulatedGPU]
  private let limits: SimulatedGPU.Limits

  /// Prepares a node.
  ///
  /// - Precondition: the GPU count is within 1...``gpusMax``.
  public init(_ configuration: Configuration) {
    precondition((1...Self.gpusMax).contains(configuration.gpuCount), "\(configuration.gpuCount) GPUs")
    self.configuration = configuration
    schedule = SimulatedSchedule(seed: mix(configuration.jobSeed, 11), workload: configuration.workload)
    limits = SimulatedGPU.Limits(configuration.model)
    gpus = (0..<configuration.gpuCount).map { index in
      SimulatedGPU(seed: mix(mix(configuration.seed, 13), UInt64(index)), model: configuration.model)
    }
  }

  /// The columns in row order.
  public var metrics: [MetricID] { Self.gpuMetrics + (configuration.hasMeter ? [.nodePower] : []) }

  /// The GPUs (and the node) as devices, in row order. UUIDs derive from the seed.
  public var devices: [Device] {
    let name = "NVIDIA \(configuration.model.key)"
    let boards = gpus.enumerated().map { index, gpu in
      Device(scope: .gpu, index: UInt16(index), key: gpu.uuid, model: name)
    }
    return boards + (configuration.hasMeter ? [.node] : [])
  }

  /// Values of one row.
  public var width: Int { Self.gpuMetrics.count * gpus.count + (configuration.hasMeter ? 1 : 0) }

  /// Writes the row of `tick`, column after column.
  ///
  /// - Precondition: `row` has ``width`` elements.
  /// - Complexity: O(GPUs) without allocation; the first call of a job or after a jump walks the schedule.
  public mutating func fill(_ tick: Tick, interval: TickInterval, into row: inout MutableSpan<Int64>) {
    precondition(row.count == width)
    let moment = moment(at: tick.unixMilliseconds, length: Int64(interval.milliseconds))
    let count = gpus.count
    var totalMilliwatts: Int64 = 0
    for index in gpus.indices {
      let reading = gpus[index].reading(moment, limits)
      totalMilliwatts += reading.power
      row[index] = reading.power
      row[count + index] = reading.powerMin
      row[2 * count + index] = reading.powerMax
      row[3 * count + index] = limits.powerLimit
      row[4 * count + index] = reading.energy
      row[5 * count + index] = reading.utilization
      row[6 * count + index] = reading.memoryUtilization
      row[7 * count + index] = reading.memoryUsed
      row[8 * count + index] = reading.temperature
      row[9 * count + index] = reading.memoryTemperature
      row[10 * count + index] = reading.smClock
      row[11 * count + index] = limits.memoryClock
      row[12 * count + index] = reading.reasons
      row[13 * count + index] = 0
    }
    if configuration.hasMeter {
      row[14 * count] = configuration.model.estimatedNodeMilliwatts(gpuMilliwatts: totalMilliwatts)
    }
  }

  /// What all GPUs of the node share at one tick.
  private mutating func moment(at time: Int64, length: Int64) -> SimulatedMoment {
    var before = max(time - length, 0)
    schedule.seek(to: before)
    let oldSlot = schedule.slot
    let oldWork = schedule.work(at: before)
    let oldEpoch = schedule.epochStart
    schedule.seek(to: time)
    var workBefore = oldWork
    if schedule.epochStart != oldEpoch {
      // The counters started again within this tick: what is left of it is all there is.
      before = schedule.epochStart
      workBefore = 0
    }
    let work = schedule.work(at: time)
    let slot = schedule.slot
    let warmFrom = max(slot.start, time - SimulatedGPU.thermalMilliseconds)
    let (levelMin, levelMax) = extremes(from: max(before, slot.start), to: time)
    return SimulatedMoment(
      time: time, before: before, epochStart: schedule.epochStart, slot: slot,
      slotBefore: before >= slot.start ? slot : oldSlot, work: work, workBefore: workBefore,
      level: (work - workBefore) / max(time - before, 1), levelMin: levelMin, levelMax: levelMax,
      warmLevel: (work - schedule.work(at: warmFrom)) / SimulatedGPU.thermalMilliseconds)
  }

  /// Lowest and highest mean level of the quarters of a span within the current job.
  private func extremes(from start: Int64, to end: Int64) -> (Int64, Int64) {
    let quarter = max((end - start) / 4, 1)
    var earlier = schedule.work(at: start)
    var lowest = Int64.max
    var highest: Int64 = 0
    for number in 1...4 {
      let work = schedule.work(at: min(start + Int64(number) * quarter, end))
      lowest = min(lowest, (work - earlier) / quarter)
      highest = max(highest, (work - earlier) / quarter)
      earlier = work
    }
    return (lowest, highest)
  }
}
