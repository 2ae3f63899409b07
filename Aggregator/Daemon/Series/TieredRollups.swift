import BongsuModel
import BongsuRollup
import BongsuSeries

/// Rollups of all times as one: the closed ticks of the last minutes, and stored tiers before them.
///
/// Which tier is read depends on the question. A range function counts samples, so it gets the finest tier that reaches
/// back to its start. An instant selector needs one sample per step, so it gets the coarsest tier whose windows are no
/// longer than the step. Which it was is told as a remark beside the answer.
struct TieredRollups: SeriesPart {
  let newest: NewestRollups
  let tiers: any TierReader
  /// Oldest tick that is kept in memory; `nil` before the first.
  let oldestRecent: @Sendable () -> Tick?

  /// Series of single nodes, which are stored only.
  private static let nodeSeries: [String: RollupSeries] = Dictionary(
    uniqueKeysWithValues: RollupSeries.all.map { ("node:\($0.metric):\($0.operation)", $0) })
  private static let nodeNames = nodeSeries.keys.sorted(by: ByteOrder.precedes)

  /// How far an instant selector looks back, which the evaluator does by itself; longer windows are held for it.
  private static let heldMilliseconds: Int64 = 240_000

  private struct Wanted {
    let name: String
    let level: TierLevel
    let series: RollupSeries
  }

  func canHold(name: String) -> Bool { newest.canHold(name: name) || Self.nodeSeries[name] != nil }

  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws {
    guard selection.startMilliseconds <= selection.endMilliseconds else { return }
    let recent = oldestRecent()?.unixMilliseconds ?? .max
    // What the newest minutes have.
    var live: [LabelSet: SampleBuffer] = [:]
    if selection.endMilliseconds >= recent { try newest.visit(selection, filter) { live[$0] = $1 } }
    for (level, wanted) in wanted(filter) {
      try self.visit(level, wanted, selection, filter, recent: recent, &live, visit)
    }
    for (labels, buffer) in live { try visit(labels, buffer) }
  }

  private func visit(
    _ level: TierLevel, _ wanted: [Wanted], _ selection: SeriesSelection, _ filter: SeriesFilter, recent: Int64,
    _ live: inout [LabelSet: SampleBuffer], _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws {
    // Racks are kept in memory at one tick only, nodes not at all.
    let isKept = level != .node && level != .rollup(.rack)
    if isKept, selection.startMilliseconds >= recent { return }
    guard let tier = try tier(for: selection, level) else { return }
    let reach = selection.wantsNewestOnly || tier.milliseconds * 2 > 300_000 ? 2 * tier.milliseconds : 0
    let last = isKept ? min(selection.endMilliseconds, recent - 1) : selection.endMilliseconds
    guard let range = Self.ticks(selection.startMilliseconds - reach, last) else { return }
    selection.annotations?.addInfo("\(level.prefix) rollups are read from \(tier.title)")
    let question = TierQuestion(level, tier, in: range, wanted.map(\.series)) { labels in
      filter.includes(labels: Self.labelSet(labels))
    }
    try tiers.visit(question) { group, course in
      let labels = Self.labelSet(group.labels)
      for (index, entry) in wanted.enumerated() {
        let set = labels.named(entry.name)
        var buffer = SampleBuffer()
        Self.fill(&buffer, course.ends, course.values[index], tier, selection)
        if let known = live.removeValue(forKey: set) {
          if selection.wantsNewestOnly { buffer.removeAll() }
          let end = buffer.timestamps.last ?? .min
          for (time, value) in zip(known.timestamps, known.values) where time > end {
            buffer.append(timestamp: time, value: value)
          }
        }
        if selection.wantsNewestOnly { Self.keepNewest(&buffer) }
        if !buffer.isEmpty { try visit(set, buffer) }
      }
      return true
    }
  }

  /// The tier that answers; `nil` when none has anything of the time.
  private func tier(for selection: SeriesSelection, _ level: TierLevel) throws -> Tier? {
    let span = selection.startMilliseconds...selection.endMilliseconds
    var touching: [(tier: Tier, start: Int64)] = []
    for tier in Tier.allCases where tier >= level.finestTier {
      guard let extent = try tiers.extent(level, tier), extent.lowerBound.unixMilliseconds <= span.upperBound,
        extent.upperBound.unixMilliseconds + 2 * tier.milliseconds >= span.lowerBound
      else { continue }
      touching.append((tier, extent.lowerBound.unixMilliseconds - tier.milliseconds))
    }
    // Where a tier begins later than is asked for, a coarser one is better when that has a whole window from before.
    let candidates = touching.filter { entry in
      entry.start <= span.lowerBound
        || !touching.contains { $0.tier > entry.tier && $0.start + $0.tier.milliseconds <= entry.start }
    }
    .map(\.tier)
    guard selection.rangeMilliseconds == 0, selection.stepMilliseconds > 0 else { return candidates.first }
    return candidates.last { $0.milliseconds <= selection.stepMilliseconds } ?? candidates.first
  }

  /// Puts a course into samples: a marker where it ends, and for instant selectors windows longer than their lookback held.
  private static func fill(
    _ buffer: inout SampleBuffer, _ ends: [Int64], _ values: [Double], _ tier: Tier, _ selection: SeriesSelection
  ) {
    let isHeld = selection.rangeMilliseconds == 0 && 2 * tier.milliseconds > 300_000
    func close(before next: Int64) {
      guard let last = buffer.timestamps.last, let value = buffer.values.last, !StaleMarker.isStale(value) else {
        return
      }
      var time = last
      // A window speaks for two of its lengths.
      let until = min(next, last + 2 * tier.milliseconds, selection.endMilliseconds + 1)
      if isHeld {
        while time + heldMilliseconds < until {
          time += heldMilliseconds
          buffer.append(timestamp: time, value: value)
        }
      }
      let stale = last + (isHeld ? 2 : 1) * tier.milliseconds
      if stale < next, stale <= selection.endMilliseconds, stale > time, !selection.wantsNewestOnly {
        buffer.append(timestamp: stale, value: StaleMarker.value)
      }
    }
    for (end, value) in zip(ends, values) where end <= selection.endMilliseconds {
      guard !value.isNaN else { continue }
      close(before: end)
      buffer.append(timestamp: end, value: value)
    }
    close(before: .max)
  }

  private static func keepNewest(_ buffer: inout SampleBuffer) {
    guard let time = buffer.timestamps.last, let value = buffer.values.last else { return }
    buffer.removeAll()
    if !StaleMarker.isStale(value) { buffer.append(timestamp: time, value: value) }
  }

  func visitLabelSets(_ filter: SeriesFilter, _ span: TimeSpan, _ visit: (LabelSet) throws -> Void) throws {
    var seen: Set<LabelSet> = []
    func note(_ labels: LabelSet) throws { if seen.insert(labels).inserted { try visit(labels) } }
    let recent = oldestRecent()?.unixMilliseconds ?? .max
    if span.upperBound >= recent { try newest.visitLabelSets(filter, span, note) }
    for (level, wanted) in wanted(filter) {
      // Coarse windows tell as well who had what.
      let length = span.upperBound - span.lowerBound
      let tier = max(level.finestTier, length > 7_200_000 ? .hour : .minute)
      guard let range = Self.ticks(span.lowerBound, span.upperBound) else { continue }
      let question = TierQuestion(level, tier, in: range, wanted.map(\.series)) { labels in
        filter.includes(labels: Self.labelSet(labels))
      }
      try tiers.visit(question) { group, course in
        let labels = Self.labelSet(group.labels)
        for (index, entry) in wanted.enumerated() where course.values[index].contains(where: { !$0.isNaN }) {
          try note(labels.named(entry.name))
        }
        return true
      }
    }
  }

  /// What a selector can mean, by level.
  private func wanted(_ filter: SeriesFilter) -> [(TierLevel, [Wanted])] {
    var found: [TierLevel: [Wanted]] = [:]
    for (name, entry) in newest.catalogue.entries(filter) {
      guard case .level(let level, let series) = entry else { continue }
      found[.rollup(level), default: []].append(Wanted(name: name, level: .rollup(level), series: series))
    }
    for name in filter.exactNames ?? Self.nodeNames {
      guard let series = Self.nodeSeries[name], filter.includes(name: name) else { continue }
      found[.node, default: []].append(Wanted(name: name, level: .node, series: series))
    }
    return TierLevel.all.compactMap { level in found[level].map { (level, $0) } }
  }

  private static func labelSet(_ labels: [(name: String, value: String)]) -> LabelSet {
    LabelSet(metricName: "", labels: labels.map { Label(name: $0.name, value: $0.value) })
  }

  private static func ticks(_ start: Int64, _ end: Int64) -> ClosedRange<Tick>? {
    let range = Limits.tickRange
    let first = max(range.lowerBound.unixMilliseconds, start)
    let last = min(range.upperBound.unixMilliseconds, end)
    return first <= last ? Tick(unixMilliseconds: first)...Tick(unixMilliseconds: last) : nil
  }
}

extension Tier {
  /// For people.
  var title: String {
    switch self {
    case .second: "single ticks of 1 s"
    case .tenSeconds: "windows of 10 s"
    case .minute: "windows of 1 min"
    case .quarterHour: "windows of 15 min"
    case .hour: "windows of 1 h"
    }
  }
}
