/// A series source in memory: for rule unit tests, for scratch evaluation and for tests of what reads series.
///
/// Samples are appended in order of time per series. A value type: a copy is a consistent snapshot and shares memory
/// until either is changed.
public struct MemorySeries: SeriesSource {
  /// What became of an appended sample.
  public enum AppendOutcome: Sendable, Hashable {
    case appended
    /// A sample with this time and value was there already.
    case duplicate
    /// A sample with this time and another value was there already; the old one stays.
    case conflict
    /// The series already has a later sample.
    case outOfOrder
  }

  private var sets: [LabelSet] = []
  private var samples: [SampleBuffer] = []
  private var positions: [LabelSet: Int] = [:]
  private var positionsByMetric: [String: [Int]] = [:]

  public init() {}

  /// How many series there are.
  public var seriesCount: Int { sets.count }

  /// Adds one sample; a stale marker is a sample like any other.
  @discardableResult
  public mutating func append(_ labels: LabelSet, timestamp: Int64, value: Double) -> AppendOutcome {
    let position = position(of: labels)
    if let last = samples[position].timestamps.last {
      if timestamp < last { return .outOfOrder }
      if timestamp == last {
        return samples[position].values.last?.bitPattern == value.bitPattern ? .duplicate : .conflict
      }
    }
    samples[position].append(timestamp: timestamp, value: value)
    return .appended
  }

  private mutating func position(of labels: LabelSet) -> Int {
    if let known = positions[labels] { return known }
    let position = sets.count
    sets.append(labels)
    samples.append(SampleBuffer())
    positions[labels] = position
    positionsByMetric[labels.metricName, default: []].append(position)
    return position
  }

  public func visitSeries(_ selection: SeriesSelection, _ visit: (LabelSet, SampleBuffer) throws -> Void) throws {
    var found = matching(selection.matchers)
    if selection.isSorted { found.sort { sets[$0] < sets[$1] } }
    var window = SampleBuffer()
    for position in found {
      let all = samples[position]
      guard let first = all.timestamps.first, let last = all.timestamps.last else { continue }
      if selection.wantsNewestOnly {
        // Past the last sample that is not after the end.
        let end =
          last <= selection.endMilliseconds ? all.count : all.timestamps.lowerBound(selection.endMilliseconds + 1)
        if end == 0 || all.timestamps[end - 1] < selection.startMilliseconds { continue }
        window.removeAll()
        window.append(timestamp: all.timestamps[end - 1], value: all.values[end - 1])
        try visit(sets[position], window)
        continue
      }
      if first >= selection.startMilliseconds, last <= selection.endMilliseconds {
        try visit(sets[position], all)
        continue
      }
      window.removeAll()
      for index in all.timestamps.lowerBound(selection.startMilliseconds)..<all.count {
        guard all.timestamps[index] <= selection.endMilliseconds else { break }
        window.append(timestamp: all.timestamps[index], value: all.values[index])
      }
      if !window.isEmpty { try visit(sets[position], window) }
    }
  }

  public func labelSets(
    matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64, through endMilliseconds: Int64
  ) throws -> [LabelSet] {
    var found: Set<Int> = selections.isEmpty ? Set(sets.indices) : []
    for matchers in selections { found.formUnion(matching(matchers)) }
    return found.sorted().filter { position in
      let timestamps = samples[position].timestamps
      let index = timestamps.lowerBound(startMilliseconds)
      return index < timestamps.count && timestamps[index] <= endMilliseconds
    }.map { sets[$0] }
  }

  private func matching(_ matchers: [LabelMatcher]) -> [Int] {
    let byName = matchers.firstIndex { $0.name == Label.metricName && $0.comparison == .equal }
    let candidates = byName.map { positionsByMetric[matchers[$0].value] ?? [] } ?? Array(sets.indices)
    let rest = matchers.indices.filter { $0 != byName }.map { matchers[$0] }
    if rest.isEmpty { return candidates }
    return candidates.filter { position in rest.allSatisfy { $0.matches(sets[position]) } }
  }
}

extension Array where Element == Int64 {
  /// Index of the first element that is not below `bound`; the array is sorted.
  package func lowerBound(_ bound: Int64) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if self[middle] < bound { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
