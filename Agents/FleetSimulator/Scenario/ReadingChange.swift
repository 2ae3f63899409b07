import BongsuDevices
import BongsuModel

/// What a scenario does to the readings of one node: power scaled or led somewhere, GPUs that do not answer.
///
/// Power, its extremes, the energy counter and the node's meter change together, so that every relation between them that
/// holds for real readings still holds; a scaled reading may pass the power limit. Temperatures and clocks keep following
/// the job.
struct ReadingChange {
  /// GPUs that do not answer.
  var failed: UInt64 = 0

  /// A straight line from one value to another between two instants.
  private struct Line {
    var from: Double
    var to: Double
    var start: Int64 = 0
    var end: Int64 = 0

    func value(at time: Int64) -> Double {
      guard time < end else { return to }
      guard time > start else { return from }
      return from + (to - from) * Double(time - start) / Double(end - start)
    }

    mutating func lead(to value: Double, at time: Int64, over length: Int64) {
      self = Line(from: self.value(at: time), to: value, start: time, end: time + length)
    }
  }

  /// Factor on power; place between idle and limit, and how much of the reading it decides.
  private var factor = Line(from: 1, to: 1)
  private var level = Line(from: 0, to: 0)
  private var weight = Line(from: 0, to: 0)
  /// Microjoules by which each GPU's counter is ahead of the undisturbed one.
  private var extra: [Int64] = []

  mutating func scale(toPermille permille: Int, at time: Int64, over length: Int64) {
    factor.lead(to: Double(permille) / 1000, at: time, over: length)
  }

  mutating func ramp(toPermille permille: Int, at time: Int64, over length: Int64) {
    let place = Double(permille) / 1000
    // From what the job does it is a change of weight; from another ramp it is a change of place.
    if weight.value(at: time) == 0 {
      level = Line(from: place, to: place)
      weight.lead(to: 1, at: time, over: length)
    } else {
      level.lead(to: place, at: time, over: length)
      weight.lead(to: 1, at: time, over: length)
    }
  }

  mutating func normal(at time: Int64, over length: Int64) {
    factor.lead(to: 1, at: time, over: length)
    weight.lead(to: 0, at: time, over: length)
  }

  /// Changes a row of ``SimulatedNode``'s shape at `time` after the start of the run.
  mutating func apply(
    to row: inout MutableSpan<Int64>, _ configuration: SimulatedNode.Configuration, at time: Int64,
    intervalMilliseconds: Int64
  ) {
    let (factor, weight) = (factor.value(at: time), weight.value(at: time))
    let count = configuration.gpuCount
    let changesPower = factor != 1 || weight != 0
    if changesPower || !extra.isEmpty {
      if extra.isEmpty { extra = [Int64](repeating: 0, count: count) }
      for gpu in 0..<count {
        if changesPower { change(&row, gpu, configuration, factor, weight, time, intervalMilliseconds) }
        row[4 * count + gpu] += extra[gpu].flooredDivision(by: 1000)
      }
    }
    if configuration.hasMeter, changesPower {
      var total: Int64 = 0
      for gpu in 0..<count { total += row[gpu] }
      row[SimulatedNode.gpuMetrics.count * count] = configuration.model.estimatedNodeMilliwatts(gpuMilliwatts: total)
    }
    // A GPU that does not answer still draws, which a meter sees.
    if failed != 0 {
      for gpu in 0..<min(count, 64) where failed & 1 << UInt64(gpu) != 0 {
        for column in SimulatedNode.gpuMetrics.indices { row[column * count + gpu] = SampleValue.absent.bits }
      }
    }
  }

  private mutating func change(
    _ row: inout MutableSpan<Int64>, _ gpu: Int, _ configuration: SimulatedNode.Configuration, _ factor: Double,
    _ weight: Double, _ time: Int64, _ interval: Int64
  ) {
    let count = configuration.gpuCount
    let idle = Double(configuration.model.idleWatts) * 1000
    let place = level.value(at: time)
    let led = idle + (Double(configuration.model.powerLimitWatts) * 1000 - idle) * place
    func changed(_ milliwatts: Int64) -> Int64 {
      Int64(((Double(milliwatts) * (1 - weight) + led * weight) * factor).rounded())
    }
    let power = row[gpu]
    for column in 0..<3 { row[column * count + gpu] = changed(row[column * count + gpu]) }
    extra[gpu] += (row[gpu] - power) * interval
    guard weight > 0 else { return }
    // Whole percents, as the driver reports them; a GPU led to idle is idle.
    let utilization = min(100, place * 250)
    let mixed = Double(row[5 * count + gpu]) / 10 * (1 - weight) + utilization * weight
    row[5 * count + gpu] = Int64(mixed.rounded()) * 10
  }
}
