public import BongsuModel
public import BongsuRollup

extension RecentTicks: TierReader {
  /// Of ticks, and of windows that the kept ticks cover whole; racks and nodes are not kept.
  public func extent(_ level: TierLevel, _ tier: Tier) -> ClosedRange<Tick>? {
    guard case .rollup(let level) = level, level != .rack, let extent else { return nil }
    guard tier.window != nil else { return extent }
    let step: Int64 = 1000
    let first = tier.end(of: Tick(unixMilliseconds: extent.lowerBound.unixMilliseconds - step + tier.milliseconds))
    let end = tier.end(of: extent.upperBound)
    let last = end == extent.upperBound ? end : Tick(unixMilliseconds: end.unixMilliseconds - tier.milliseconds)
    return first <= last ? first...last : nil
  }

  public func visit(_ question: TierQuestion, _ body: (TierGroup, TierCourse) throws -> Bool) throws {
    guard case .rollup(let level) = question.level, let extent = extent(question.level, question.tier) else { return }
    let range = question.range.clamped(to: extent)
    guard range.overlaps(question.range) else { return }
    if question.tier.window == nil {
      let ticks = ticks(in: range)
      try visit(level, ticks.last?.plan, question, body) { group, course in
        for tick in ticks where group < tick[level].count {
          course.ends.append(tick.tick.unixMilliseconds)
          for (index, series) in question.series.enumerated() {
            course.values[index].append(series.value(tick, level, group) ?? .nan)
          }
        }
      }
    } else {
      let windows = windows(level, question.tier, range)
      try visit(level, newest?.plan, question, body) { group, course in
        for window in windows where group < window.count {
          course.ends.append(window.end.unixMilliseconds)
          for (index, series) in question.series.enumerated() {
            course.values[index].append(series.value(window, group) ?? .nan)
          }
        }
      }
    }
  }

  private func visit(
    _ level: RollupLevel, _ plan: RollupPlan?, _ question: TierQuestion,
    _ body: (TierGroup, TierCourse) throws -> Bool, _ fill: (Int, inout TierCourse) -> Void
  ) rethrows {
    guard let plan else { return }
    for group in 0..<plan.groupCount(level) {
      let labels = plan.labels(level, group)
      guard question.includes(labels) else { continue }
      var course = TierCourse(series: question.series.count)
      fill(group, &course)
      guard !course.ends.isEmpty else { continue }
      guard try body(TierGroup(level: question.level, labels: labels), course) else { return }
    }
  }

  /// Windows whose ends lie in `range`, folded from the kept ticks.
  private func windows(_ level: RollupLevel, _ tier: Tier, _ range: ClosedRange<Tick>) -> [WindowTable] {
    guard let length = tier.window else { return [] }
    let start = Tick(unixMilliseconds: range.lowerBound.unixMilliseconds - tier.milliseconds + 1)
    var windows: [WindowTable] = []
    for tick in ticks(in: start...range.upperBound) {
      let end = length.end(of: tick.tick)
      guard range.contains(end) else { continue }
      if windows.last?.end != end { windows.append(WindowTable(level, length, end: end, count: tick[level].count)) }
      windows[windows.count - 1].fold(tick)
    }
    return windows
  }
}
