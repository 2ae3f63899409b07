import BongsuModel

/// Totals of one gauge over the rows of one minute.
struct GaugeMinute: Hashable, CustomStringConvertible {
  var sum: Int64 = 0
  var count: Int64 = 0
  var minimum = Int64.max
  var maximum = Int64.min

  mutating func add(_ value: Int64) {
    sum &+= value
    count += 1
    minimum = min(minimum, value)
    maximum = max(maximum, value)
  }

  mutating func merge(_ other: GaugeMinute) {
    sum &+= other.sum
    count += other.count
    minimum = min(minimum, other.minimum)
    maximum = max(maximum, other.maximum)
  }

  var description: String { "sum \(sum) of \(count), \(minimum) to \(maximum)" }
}

/// Minutes of one group: what rows say, or what a tier holds. Each is named by the tick that ends it.
struct MinuteTotals: Hashable {
  private(set) var minutes: [Int64: [MetricID: GaugeMinute]] = [:]

  /// Whether all rows are of nodes that sample once a second.
  private(set) var isPerSecond = true

  /// Only the minutes that end at one of `ends`.
  func limited(to ends: Set<Int64>) -> MinuteTotals {
    var copy = self
    copy.minutes = minutes.filter { ends.contains($0.key) }
    return copy
  }

  static func end(of tick: Int64) -> Int64 { (tick + 59_999).flooredDivision(by: 60_000) * 60_000 }

  mutating func set(_ minute: Int64, _ metric: MetricID, _ totals: GaugeMinute) {
    minutes[minute, default: [:]][metric] = totals
  }

  /// Adds a row, its layout spelled as in ``BongsuModel/RowLayout/drillName``.
  mutating func add(tick: Int64, layout: String, values: [Int64]) {
    let minute = Self.end(of: tick)
    if layout.split(separator: " ").first != "1000" { isPerSecond = false }
    var place = 0
    for word in layout.split(separator: " ").dropFirst() {
      let parts = word.split(separator: "*")
      guard parts.count == 2, let number = UInt16(parts[0]), let count = Int(parts[1]) else { continue }
      let metric = MetricID(rawValue: number)
      let range = place..<min(values.count, place + count)
      place += count
      guard MetricCatalogue.metric(metric)?.kind == .gauge else { continue }
      for value in values[range] where value != SampleValue.absent.bits {
        minutes[minute, default: [:]][metric, default: GaugeMinute()].add(value)
      }
    }
  }

  mutating func merge(_ other: MinuteTotals) {
    for (minute, metrics) in other.minutes {
      for (metric, totals) in metrics { minutes[minute, default: [:]][metric, default: GaugeMinute()].merge(totals) }
    }
  }

  /// Where this differs from `stored`, in words.
  func differences(from stored: MinuteTotals, group: String) -> [String] {
    var found: [String] = []
    for minute in Set(minutes.keys).union(stored.minutes.keys).sorted() {
      let (right, kept) = (minutes[minute] ?? [:], stored.minutes[minute] ?? [:])
      for metric in Set(right.keys).union(kept.keys).sorted() where right[metric] != kept[metric] {
        func text(_ totals: GaugeMinute?) -> String { totals?.description ?? "nothing" }
        found.append(
          "\(group): the minute that ends at \(minute) holds of metric \(metric.rawValue) \(text(kept[metric])); the rows say "
            + text(right[metric]))
      }
    }
    return found
  }
}
