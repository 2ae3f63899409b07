internal import BongsuSeries

/// Where the windows of a range selector lie.
struct WindowPlacement {
  let rangeMilliseconds: Int64
  /// How far back of the end samples count: the range, or one millisecond less when the first instant is left out.
  let reachMilliseconds: Int64
  let offsetMilliseconds: Int64
  /// The end of every window, when `@` fixed it; `nil` when windows move with the evaluation time.
  let fixedEnd: Int64?

  init(rangeMilliseconds: Int64, offsetMilliseconds: Int64, fixedEnd: Int64?, opensLeft: Bool) {
    self.rangeMilliseconds = rangeMilliseconds
    self.offsetMilliseconds = offsetMilliseconds
    self.fixedEnd = fixedEnd
    reachMilliseconds = rangeMilliseconds - (opensLeft ? 1 : 0)
  }

  /// Last instant of the window, inclusive.
  func end(atStep step: Int, of grid: TimeGrid) -> Int64 { fixedEnd ?? grid.time(step) - offsetMilliseconds }
}

extension Evaluator {
  /// The instant `@` fixes for a selector, offset included.
  private func fixedTime(_ time: SelectorTime) -> Int64? {
    switch time.anchor {
    case nil: nil
    case .instant(let instant): instant &- time.offsetMilliseconds
    case .start: run.grid.start - time.offsetMilliseconds
    case .end: run.grid.end - time.offsetMilliseconds
    }
  }

  /// Streams an instant selector: at each step the newest sample within the lookback, unless it is a stale marker.
  ///
  /// With `sampleTimes` the values are the times of those samples in seconds, for `timestamp`.
  func streamSelector(_ selector: VectorSelector, sampleTimes: Bool, _ emit: Emit) throws {
    guard grid.count > 0 else { return }
    let lookback = run.options.lookbackMilliseconds - (run.options.opensRangesLeft ? 1 : 0)
    let fixed = fixedTime(selector.time)
    let first = fixed ?? grid.start - selector.time.offsetMilliseconds
    let selection = selection(of: selector)
    var row = Array(repeating: Double.absent, count: grid.count)
    let rowCount = row.count
    // `timestamp(x @ t offset d)` of Prometheus 2.42 reads what `x @ t offset d` reads, but looks back from `t`.
    let anchor = sampleTimes ? fixed.map { $0 &+ selector.time.offsetMilliseconds } : fixed
    try run.source.visitSeries(selection) { labels, samples in
      try run.touch(samples: samples.count)
      let timestamps = samples.timestamps
      let values = samples.values
      var next = 0
      for step in 0..<rowCount {
        let reference = anchor ?? first + Int64(step) * grid.step
        while next < timestamps.count, timestamps[next] <= reference { next += 1 }
        let isFound = next > 0 && timestamps[next - 1] >= reference &- lookback && !values[next - 1].isAbsent
        if isFound {
          row[step] = sampleTimes ? Double(timestamps[next - 1]) / 1000 : values[next - 1]
        } else {
          row[step] = .absent
        }
      }
      try emit(labels, &row)
    }
  }

  /// What an instant selector reads.
  private func selection(of selector: VectorSelector) -> SeriesSelection {
    let lookback = run.options.lookbackMilliseconds - (run.options.opensRangesLeft ? 1 : 0)
    let fixed = fixedTime(selector.time)
    let first = fixed ?? grid.start - selector.time.offsetMilliseconds
    let last = fixed ?? grid.time(grid.count - 1) - selector.time.offsetMilliseconds
    var selection = SeriesSelection(
      matchers: selector.matchers, startMilliseconds: first &- lookback, endMilliseconds: last,
      stepMilliseconds: grid.count > 1 ? grid.step : 0)
    selection.lookbackMilliseconds = lookback
    selection.annotations = run.options.annotations
    return selection
  }

  /// Takes the values of an instant selector at one instant, families of series at once where `isTakenWhole` says so.
  ///
  /// - Precondition: the grid has one instant.
  func visitFamilies(
    of selector: VectorSelector, isTakenWhole: @escaping (LabelFamily) -> Bool,
    _ visit: @escaping (LabelSet, [Double]) throws -> Void
  ) throws {
    precondition(grid.count == 1, "\(grid.count) instants")
    let run = run
    let families = FamilyVisit(isTakenWhole: isTakenWhole) { labels, values in
      try run.touch(samples: values.count, series: values.count)
      try visit(labels, values)
    }
    let selection = selection(of: selector)
    var one = [Double.absent]
    try run.source.visitFamilies(selection, families) { labels, samples in
      try run.touch(samples: samples.count)
      let end = samples.timestamps.lastIndex { $0 <= selection.endMilliseconds }
      guard let end, samples.timestamps[end] >= selection.startMilliseconds, !samples.values[end].isAbsent else {
        return
      }
      one[0] = samples.values[end]
      try visit(labels, one)
    }
  }

  /// Visits the samples of a range selector or the points of a subquery, stale markers left out, with the place of the
  /// windows. The samples cover at least all windows of the grid.
  func visitWindows(_ expression: Expression, _ visit: (LabelSet, SampleBuffer, WindowPlacement) throws -> Void) throws
  {
    switch expression {
    case .parenthesized(let inner, _): try visitWindows(inner, visit)
    case .window(let selector, let range, _): try visitSamples(selector, range, visit)
    case .subquery(let subquery): try visitSubquery(subquery, visit)
    default: throw QueryError.execution("expected a range vector, got \(expression.type.rawValue)")
    }
  }

  private func visitSamples(
    _ selector: VectorSelector, _ range: Int64, _ visit: (LabelSet, SampleBuffer, WindowPlacement) throws -> Void
  ) throws {
    guard grid.count > 0 else { return }
    let placement = WindowPlacement(
      rangeMilliseconds: range, offsetMilliseconds: selector.time.offsetMilliseconds,
      fixedEnd: fixedTime(selector.time),
      opensLeft: run.options.opensRangesLeft)
    var selection = SeriesSelection(
      matchers: selector.matchers, startMilliseconds: placement.end(atStep: 0, of: grid) &- placement.reachMilliseconds,
      endMilliseconds: placement.end(atStep: grid.count - 1, of: grid),
      stepMilliseconds: grid.count > 1 ? grid.step : 0,
      rangeMilliseconds: range)
    selection.annotations = run.options.annotations
    var live = SampleBuffer()
    try run.source.visitSeries(selection) { labels, samples in
      try run.touch(samples: samples.count)
      guard samples.values.contains(where: \.isAbsent) else { return try visit(labels, samples, placement) }
      live.removeAll()
      for index in 0..<samples.count where !samples.values[index].isAbsent {
        live.append(timestamp: samples.timestamps[index], value: samples.values[index])
      }
      try visit(labels, live, placement)
    }
  }

  private func visitSubquery(
    _ subquery: Subquery, _ visit: (LabelSet, SampleBuffer, WindowPlacement) throws -> Void
  ) throws {
    guard grid.count > 0 else { return }
    let placement = WindowPlacement(
      rangeMilliseconds: subquery.rangeMilliseconds, offsetMilliseconds: subquery.time.offsetMilliseconds,
      fixedEnd: fixedTime(subquery.time), opensLeft: run.options.opensRangesLeft)
    let step = subquery.stepMilliseconds ?? run.options.subqueryStepMilliseconds
    let earliest = placement.end(atStep: 0, of: grid) - placement.reachMilliseconds
    // Points lie at multiples of the step, so that neighbouring queries share them.
    var start = step * (earliest / step)
    if start < earliest { start += step }
    let end = placement.end(atStep: grid.count - 1, of: grid)
    guard start > end || (end - start) / step < Int64(run.options.samplesMax) else {
      throw QueryError.tooLarge("query processing would load too many samples into memory in query execution")
    }
    let inner = Evaluator(run: run, grid: TimeGrid(start: start, end: end, step: step))
    try run.hold(samples: inner.grid.count)
    try inner.stream(subquery.expression) { labels, row in
      let samples = inner.grid.samples(of: row)
      if !samples.isEmpty { try visit(labels, samples, placement) }
    }
  }
}
