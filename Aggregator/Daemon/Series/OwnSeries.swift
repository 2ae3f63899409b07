import BongsuMetrics
import BongsuSeries
import Foundation
import ServiceLifecycle
import Synchronization

/// Bongsu's own metrics as series: what `/metrics` says, noted every few seconds and kept for an hour, so that rules and
/// graphs about the aggregator need no second Prometheus. Scrape `/metrics` to keep more.
///
/// Memory: samples of an hour for some hundred series, 8 bytes each, about two megabytes.
final class OwnSeries: SeriesPart {
  private let registry: MetricRegistry
  private let state = Mutex(State())

  private struct State {
    var sets: [LabelSet] = []
    var positions: [LabelSet: Int] = [:]
    var names: Set<String> = []
    /// One reading of everything, oldest first.
    var rows: [Row] = []
  }

  private struct Row {
    let time: Int64
    /// By position; shorter where series came later.
    let values: [Double]
  }

  static let intervalMilliseconds: Int64 = 10_000
  private static let rowsMax = 360

  init(registry: MetricRegistry) {
    self.registry = registry
  }

  /// Notes everything once. Any thread; `time` must not go back.
  func note(at time: Int64) {
    // Read outside the lock, because callbacks may take others.
    let readings = registry.readings()
    state.withLock { state in
      guard state.rows.last.map({ $0.time < time }) ?? true else { return }
      var values = [Double](repeating: StaleMarker.value, count: state.sets.count)
      for reading in readings {
        let set = LabelSet(
          metricName: reading.name, labels: reading.labels.map { Label(name: $0.name, value: $0.value) })
        if let known = state.positions[set] {
          values[known] = reading.value
          continue
        }
        state.positions[set] = state.sets.count
        state.names.insert(reading.name)
        state.sets.append(set)
        values.append(reading.value)
      }
      state.rows.append(Row(time: time, values: values))
      if state.rows.count > Self.rowsMax { state.rows.removeFirst(state.rows.count - Self.rowsMax) }
    }
  }

  func canHold(name: String) -> Bool { state.withLock { $0.names.contains(name) } }

  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws {
    let (sets, rows) = state.withLock { ($0.sets, $0.rows) }
    var wanted = rows.filter { $0.time >= selection.startMilliseconds && $0.time <= selection.endMilliseconds }
    if selection.wantsNewestOnly { wanted = wanted.suffix(1) }
    guard !wanted.isEmpty else { return }
    var buffer = SampleBuffer()
    for (position, set) in sets.enumerated() {
      guard filter.includes(name: set.metricName), filter.includes(labels: set) else { continue }
      buffer.removeAll()
      for row in wanted where position < row.values.count {
        buffer.append(timestamp: row.time, value: row.values[position])
      }
      if !buffer.isEmpty { try visit(set, buffer) }
    }
  }

  func visitLabelSets(_ filter: SeriesFilter, _ span: TimeSpan, _ visit: (LabelSet) throws -> Void) throws {
    let selection = SeriesSelection(
      matchers: filter.matchers, startMilliseconds: span.lowerBound, endMilliseconds: span.upperBound)
    try self.visit(selection, filter) { labels, _ in try visit(labels) }
  }
}

/// Notes Bongsu's own metrics for as long as the aggregator runs.
struct OwnSeriesClock: Service {
  let own: OwnSeries

  func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        let now = Int64(Date().timeIntervalSince1970 * 1000)
        // On whole intervals, so that restarts keep the grid.
        own.note(at: now - now % OwnSeries.intervalMilliseconds)
        let next = OwnSeries.intervalMilliseconds - now % OwnSeries.intervalMilliseconds
        try? await Task.sleep(for: .milliseconds(next))
      }
    }
  }
}
