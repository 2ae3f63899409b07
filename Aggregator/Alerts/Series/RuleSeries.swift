public import BongsuSeries
internal import Synchronization

/// The series that rules write: results of recording rules, `ALERTS` and `ALERTS_FOR_STATE`. Kept in memory for a while,
/// so that rules, graphs and people can read them; what must survive a restart is saved elsewhere.
///
/// Thread rule: any thread; each series is written by one.
public final class RuleSeries: MemorySource {
  /// Why a sample was not taken.
  public enum Refusal: Error, Sendable, Hashable, CustomStringConvertible {
    case duplicate
    case outOfOrder
    case full(samples: Int)

    public var description: String {
      switch self {
      case .duplicate: "duplicate sample for timestamp"
      case .outOfOrder: "out of order sample"
      case .full(let samples):
        "rules hold \(samples) samples, limit \(AlertLimits.ruleSamplesMax); write fewer series or evaluate less often"
      }
    }
  }

  private struct Series {
    let labels: LabelSet
    var times: [Int64] = []
    var values: [Double] = []
    /// Samples before this one are outdated.
    var first = 0
  }

  private struct State {
    var series: [String: [LabelSet: Series]] = [:]
    var samples = 0
  }

  private let keepMilliseconds: Int64
  private let state = Mutex(State())

  /// Keeps samples for `keepMilliseconds`.
  public init(keepMilliseconds: Int64 = AlertLimits.ruleSeriesMilliseconds) { self.keepMilliseconds = keepMilliseconds }

  /// Adds what a rule wrote at `time`. A sample with the time and value of the last is no error.
  public func append(_ outputs: [RuleGroupState.Output], at time: Int64) throws(Refusal) {
    let refusal = state.withLock { state -> Refusal? in
      var refusal: Refusal?
      for output in outputs {
        let name = output.labels.metricName
        var series = state.series[name]?[output.labels] ?? Series(labels: output.labels)
        if let last = series.times.last, last >= time {
          if StaleMarker.isStale(output.value) { continue }
          let isSame = last == time && series.values.last?.bitPattern == output.value.bitPattern
          if !isSame { refusal = last == time ? .duplicate : .outOfOrder }
          continue
        }
        guard state.samples < AlertLimits.ruleSamplesMax else {
          refusal = .full(samples: state.samples)
          continue
        }
        state.series[name]?[output.labels] = nil
        series.times.append(time)
        series.values.append(output.value)
        state.samples += 1
        while series.first < series.times.count, series.times[series.first] < time - keepMilliseconds {
          series.first += 1
        }
        if series.first > 64, series.first * 2 > series.times.count {
          series.times.removeFirst(series.first)
          series.values.removeFirst(series.first)
          state.samples -= series.first
          series.first = 0
        }
        state.series[name, default: [:]][output.labels] = series
      }
      return refusal
    }
    if let refusal { throw refusal }
  }

  /// Forgets series that ended more than the kept span before `time`.
  public func forgetEnded(at time: Int64) {
    state.withLock { state in
      for (name, all) in state.series {
        let kept = all.filter { ($0.value.times.last ?? .min) >= time - keepMilliseconds }
        guard kept.count < all.count else { continue }
        state.samples -= all.values.reduce(0) { $0 + $1.times.count } - kept.values.reduce(0) { $0 + $1.times.count }
        state.series[name] = kept.isEmpty ? nil : kept
      }
    }
  }

  /// How many samples are held.
  public var sampleCount: Int { state.withLock { $0.samples } }

  /// Whether there is a series of this name.
  public func canHold(name: String) -> Bool { state.withLock { $0.series[name] != nil } }

  public func visitSeries(_ selection: SeriesSelection, _ visit: (LabelSet, SampleBuffer) throws -> Void) throws {
    let name = selection.matchers.filter { $0.name == Label.metricName }
    var found = state.withLock { state in
      let candidates = name.lazy.compactMap(\.exactValues).first ?? Array(state.series.keys)
      return candidates.filter { candidate in name.allSatisfy { $0.matches(candidate) } }.flatMap { candidate in
        state.series[candidate].map { Array($0.values) } ?? []
      }
    }
    found = found.filter { series in selection.matchers.allSatisfy { $0.matches(series.labels) } }
    if selection.isSorted { found.sort { $0.labels < $1.labels } }
    var buffer = SampleBuffer()
    for series in found {
      guard let last = series.times.lastIndex(where: { $0 <= selection.endMilliseconds }), last >= series.first else {
        continue
      }
      buffer.removeAll()
      var index = last
      if !selection.wantsNewestOnly {
        while index > series.first, series.times[index - 1] >= selection.startMilliseconds { index -= 1 }
      }
      guard series.times[index] >= selection.startMilliseconds else { continue }
      for position in index...last { buffer.append(timestamp: series.times[position], value: series.values[position]) }
      try visit(series.labels, buffer)
    }
  }
}
