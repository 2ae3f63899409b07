/// Functions of windows that move forward along one series, each sample looked at a few times altogether instead of once
/// for every window it lies in: 300 windows of 300 samples are 600 steps instead of 90,000.
///
/// **Sums** are differences of sums from the start of the series on, kept in two doubles each (hi + lo, T. J. Dekker 1971).
/// Such a sum is off by at most n·2⁻¹⁰⁶·H, H being the largest of them. A difference counts when it is at least 2⁻⁴⁰·H, so
/// that it is off by less than 2⁻⁴⁶ of itself for up to 2²⁰ samples; any other, and a series with a value that is not
/// finite, is added up one by one. So is a mean that is far below the values: the rounding that is usual there counts then.
///
/// **Extremes** come from a queue of candidates: a sample is dropped once a later one is better.
struct SlidingWindow {
  private enum Kind {
    case sum
    case mean
    case minimum
    case maximum
  }

  /// Windows below which the one-by-one way is as good.
  static let windowsMin = 8
  private static let samplesMax = 1 << 20

  private let kind: Kind
  private var values: [Double] = []
  /// Sums of the samples before each position, one more than there are samples; empty when sums cannot be used.
  private var high: [Double] = []
  private var low: [Double] = []
  private var smallestSum = 0.0
  private var smallestMean = 0.0
  private var isZero = false
  /// Candidates, best first, from `head` on, and the sample to look at next.
  private var queue: [Int] = []
  private var head = 0
  private var next = 0

  /// `nil` for functions that are not known here.
  init?(function name: String) {
    switch name {
    case "sum_over_time": kind = .sum
    case "avg_over_time": kind = .mean
    case "min_over_time": kind = .minimum
    case "max_over_time": kind = .maximum
    default: return nil
    }
  }

  /// Begins with another series.
  mutating func begin(_ values: [Double]) {
    self.values = values
    switch kind {
    case .sum, .mean: addUp()
    case .minimum, .maximum:
      queue.removeAll(keepingCapacity: true)
      head = 0
      next = 0
    }
  }

  /// The value of a window that is not empty; `nil` when it has to be taken one by one. Neither end ever moves back.
  mutating func value(_ lower: Int, _ upper: Int) -> Double? {
    switch kind {
    case .sum: return sum(lower, upper)
    case .mean:
      guard let sum = sum(lower, upper) else { return nil }
      let mean = sum / Double(upper - lower)
      return mean.magnitude >= smallestMean ? mean : nil
    case .minimum: return extreme(lower, upper) { $0 < $1 }
    case .maximum: return extreme(lower, upper) { $0 > $1 }
    }
  }

  // MARK: sums

  private mutating func addUp() {
    high.removeAll(keepingCapacity: true)
    low.removeAll(keepingCapacity: true)
    guard values.count <= Self.samplesMax else { return }
    high.reserveCapacity(values.count + 1)
    low.reserveCapacity(values.count + 1)
    var (sum, rest, largestSum, largestValue) = (0.0, 0.0, 0.0, 0.0)
    high.append(0)
    low.append(0)
    for value in values {
      // The rounding error of the addition, exactly (D. E. Knuth's TwoSum).
      let total = sum + value
      let part = total - sum
      rest += (sum - (total - part)) + (value - part)
      sum = total + rest
      rest -= sum - total
      high.append(sum)
      low.append(rest)
      largestSum = max(largestSum, sum.magnitude)
      largestValue = max(largestValue, value.magnitude)
    }
    // What is not finite once stays so.
    guard sum.isFinite, rest.isFinite else {
      high.removeAll(keepingCapacity: true)
      return
    }
    smallestSum = max(largestSum, largestValue) * 0x1p-40
    smallestMean = largestValue * 0x1p-13
    isZero = largestValue == 0
  }

  private func sum(_ lower: Int, _ upper: Int) -> Double? {
    if high.isEmpty { return nil }
    if isZero { return 0 }
    let sum = (high[upper] - high[lower]) + (low[upper] - low[lower])
    return sum.magnitude >= smallestSum ? sum : nil
  }

  // MARK: extremes

  private mutating func extreme(_ lower: Int, _ upper: Int, _ isBetter: (Double, Double) -> Bool) -> Double? {
    while next < upper {
      let value = values[next]
      if !value.isNaN {
        while queue.count > head, isBetter(value, values[queue[queue.count - 1]]) { queue.removeLast() }
        queue.append(next)
      }
      next += 1
    }
    while head < queue.count, queue[head] < lower { head += 1 }
    // Nothing but NaN.
    return head < queue.count ? values[queue[head]] : nil
  }
}
