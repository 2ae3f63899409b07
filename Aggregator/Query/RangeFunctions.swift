/// The samples of one series inside one window: a part of two columns.
struct SampleWindow {
  let timestamps: [Int64]
  let values: [Double]
  /// Places at which a value is below the one before, in order; filled for functions of counters.
  let resets: [Int]
  /// First sample of the window.
  var lower = 0
  /// Past the last sample of the window.
  var upper = 0
  /// First and last instant of the window, inclusive, in milliseconds.
  var start: Int64 = 0
  var end: Int64 = 0
  /// The instant of the evaluation, which `offset` and `@` move away from the window.
  var evaluationTime: Int64 = 0
  /// Scalar arguments at this instant, in order.
  var scalars: (Double, Double) = (0, 0)

  var count: Int { upper - lower }
  var first: Double { values[lower] }
  var last: Double { values[upper - 1] }
}

/// Functions from a window to a value.
enum RangeFunctions {
  /// `nil` when the window has too few samples for a result.
  typealias Function = (SampleWindow) throws(QueryError) -> Double?

  /// The function of a name; `nil` when the name is that of another kind of function.
  static func named(_ name: String) -> Function? {
    switch name {
    case "rate": { extrapolated($0, isCounter: true, isRate: true) }
    case "increase": { extrapolated($0, isCounter: true, isRate: false) }
    case "delta": { extrapolated($0, isCounter: false, isRate: false) }
    case "irate": { instantaneous($0, isRate: true) }
    case "idelta": { instantaneous($0, isRate: false) }
    case "deriv": { $0.count < 2 ? nil : regression($0, interceptTime: $0.timestamps[$0.lower]).slope }
    case "predict_linear": predictLinear
    case "holt_winters": holtWinters
    case "changes": changes
    case "resets": { window in Double(resetRange(window).count) }
    case "avg_over_time": average
    case "sum_over_time": sum
    case "count_over_time": { Double($0.count) }
    case "min_over_time": minimum
    case "max_over_time": maximum
    case "last_over_time": { $0.last }
    case "present_over_time", "absent_over_time": { _ in 1 }
    case "stdvar_over_time": variance
    case "stddev_over_time": { variance($0)?.squareRoot() }
    case "quantile_over_time":
      { window in
        var values = Array(window.values[window.lower..<window.upper])
        return Quantile.value(window.scalars.0, of: &values)
      }
    default: nil
    }
  }

  /// Whether a function wants `SampleWindow.resets`.
  static func needsResets(_ name: String) -> Bool { name == "rate" || name == "increase" || name == "resets" }

  // MARK: counters

  /// The resets between two samples of the window.
  private static func resetRange(_ window: SampleWindow) -> Range<Int> {
    if window.resets.isEmpty { return 0..<0 }
    let from = window.resets.firstIndex(notBelow: window.lower + 1)
    let to = window.resets.firstIndex(notBelow: window.upper)
    return from..<max(from, to)
  }

  /// The change over the window, extrapolated to its borders.
  ///
  /// Extrapolation reaches the border when the first (last) sample lies within 1.1 average intervals of it, else half
  /// an interval; a counter is never extrapolated below zero. Source: Prometheus 2.42, `rate`.
  private static func extrapolated(_ window: SampleWindow, isCounter: Bool, isRate: Bool) -> Double? {
    guard window.count >= 2 else { return nil }
    var change = window.last - window.first
    if isCounter { for reset in window.resets[resetRange(window)] { change += window.values[reset - 1] } }
    let firstTime = window.timestamps[window.lower]
    let lastTime = window.timestamps[window.upper - 1]
    var toStart = Double(firstTime - window.start) / 1000
    let toEnd = Double(window.end - lastTime) / 1000
    let sampled = Double(lastTime - firstTime) / 1000
    let averageInterval = sampled / Double(window.count - 1)
    if isCounter, change > 0, window.first >= 0 {
      let toZero = sampled * (window.first / change)
      if toZero < toStart { toStart = toZero }
    }
    let threshold = averageInterval * 1.1
    var covered = sampled
    covered += toStart < threshold ? toStart : averageInterval / 2
    covered += toEnd < threshold ? toEnd : averageInterval / 2
    var factor = covered / sampled
    if isRate { factor /= seconds(window.end - window.start) }
    return change * factor
  }

  private static func seconds(_ milliseconds: Int64) -> Double {
    Double(milliseconds / 1000) + Double(milliseconds % 1000 * 1_000_000) / 1e9
  }

  /// The change between the last two samples.
  private static func instantaneous(_ window: SampleWindow, isRate: Bool) -> Double? {
    guard window.count >= 2 else { return nil }
    let last = window.last
    let previous = window.values[window.upper - 2]
    let interval = window.timestamps[window.upper - 1] - window.timestamps[window.upper - 2]
    if interval == 0 { return nil }
    let change = isRate && last < previous ? last : last - previous
    return isRate ? change / (Double(interval) / 1000) : change
  }

  // MARK: regression

  /// Least squares over the window, with the intercept at a given time; sums are compensated.
  private static func regression(_ window: SampleWindow, interceptTime: Int64) -> (slope: Double, intercept: Double) {
    var (sumX, sumY, sumXY, sumXX) = (CompensatedSum(), CompensatedSum(), CompensatedSum(), CompensatedSum())
    let first = window.first
    var isConstant = true
    for index in window.lower..<window.upper {
      let y = window.values[index]
      if index > window.lower, y != first { isConstant = false }
      let x = Double(window.timestamps[index] - interceptTime) / 1000
      sumX.add(x)
      sumY.add(y)
      sumXY.add(x * y)
      sumXX.add(x * x)
    }
    if isConstant { return first.isInfinite ? (.nan, .nan) : (0, first) }
    let n = Double(window.count)
    let (x, y) = (sumX.plainTotal, sumY.plainTotal)
    let covariance = sumXY.plainTotal - x * y / n
    let variance = sumXX.plainTotal - x * x / n
    let slope = covariance / variance
    return (slope, y / n - slope * x / n)
  }

  private static func predictLinear(_ window: SampleWindow) -> Double? {
    guard window.count >= 2 else { return nil }
    let (slope, intercept) = regression(window, interceptTime: window.evaluationTime)
    return slope * window.scalars.0 + intercept
  }

  /// Double exponential smoothing with a smoothing factor and a trend factor, both between zero and one.
  private static func holtWinters(_ window: SampleWindow) throws(QueryError) -> Double? {
    let (smoothing, trendFactor) = window.scalars
    guard smoothing > 0, smoothing < 1 else {
      throw .execution("invalid smoothing factor. Expected: 0 < sf < 1, got: \(FloatText.general(smoothing))")
    }
    guard trendFactor > 0, trendFactor < 1 else {
      throw .execution("invalid trend factor. Expected: 0 < tf < 1, got: \(FloatText.general(trendFactor))")
    }
    guard window.count >= 2 else { return nil }
    var previous = 0.0
    var smoothed = window.first
    var trend = window.values[window.lower + 1] - window.first
    for index in (window.lower + 1)..<window.upper {
      let scaled = smoothing * window.values[index]
      if index > window.lower + 1 {
        let change = trendFactor * (smoothed - previous)
        trend = change + (1 - trendFactor) * trend
      }
      let carried = (1 - smoothing) * (smoothed + trend)
      previous = smoothed
      smoothed = scaled + carried
    }
    return smoothed
  }

  // MARK: over time

  private static func changes(_ window: SampleWindow) -> Double? {
    var count = 0
    var previous = window.first
    for index in window.lower..<window.upper {
      let value = window.values[index]
      if value != previous, !(value.isNaN && previous.isNaN) { count += 1 }
      previous = value
    }
    return Double(count)
  }

  private static func sum(_ window: SampleWindow) -> Double? {
    var sum = CompensatedSum()
    for index in window.lower..<window.upper { sum.add(window.values[index]) }
    return sum.total
  }

  private static func average(_ window: SampleWindow) -> Double? {
    var mean = CompensatedSum()
    var count = 0.0
    for index in window.lower..<window.upper {
      let value = window.values[index]
      count += 1
      if mean.sum.isInfinite {
        // An infinite mean stays, unless NaN or the opposite infinity joins.
        if value.isInfinite, (mean.sum > 0) == (value > 0) { continue }
        if value.isFinite { continue }
      }
      mean.add(value / count - mean.sum / count)
    }
    return mean.total
  }

  private static func variance(_ window: SampleWindow) -> Double? {
    var count = 0.0
    var mean = CompensatedSum()
    var squares = CompensatedSum()
    for index in window.lower..<window.upper {
      let value = window.values[index]
      count += 1
      let delta = value - mean.plainTotal
      mean.add(delta / count)
      squares.add(delta * (value - mean.plainTotal))
    }
    return squares.plainTotal / count
  }

  private static func maximum(_ window: SampleWindow) -> Double? {
    var best = window.first
    for index in window.lower..<window.upper {
      let value = window.values[index]
      if value > best || best.isNaN { best = value }
    }
    return best
  }

  private static func minimum(_ window: SampleWindow) -> Double? {
    var best = window.first
    for index in window.lower..<window.upper {
      let value = window.values[index]
      if value < best || best.isNaN { best = value }
    }
    return best
  }
}

/// A sum with the rounding error carried along (Neumaier's variant of Kahan's summation).
struct CompensatedSum {
  private(set) var sum = 0.0
  private var compensation = 0.0

  @inline(__always)
  mutating func add(_ value: Double) {
    let next = sum + value
    if sum.magnitude >= value.magnitude {
      compensation += (sum - next) + value
    } else {
      compensation += (value - next) + sum
    }
    sum = next
  }

  /// Sum and compensation.
  var plainTotal: Double { sum + compensation }

  /// Sum and compensation; an infinite sum has no compensation.
  var total: Double { sum.isInfinite ? sum : sum + compensation }
}

extension Array where Element == Int {
  /// Index of the first element that is not below `bound`; the array is sorted.
  fileprivate func firstIndex(notBelow bound: Int) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if self[middle] < bound { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
