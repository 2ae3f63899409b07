internal import BongsuSeries

extension Evaluator {
  /// Streams a call of a function that gives an instant vector.
  func streamCall(_ call: CallExpression, _ emit: Emit) throws {
    let name = call.function.name
    if name == "absent_over_time" { return try streamAbsent(call, isOverTime: true, emit) }
    if let function = RangeFunctions.named(name) { return try streamRangeCall(call, function, emit) }
    if let function = InstantFunctions.named(name) {
      return try droppingNames(of: call.arguments[0], emit) { row in
        for step in 0..<row.count where !row[step].isAbsent { row[step] = function(row[step]) }
      }
    }
    if let field = CalendarFields.named(name) { return try streamCalendar(call, field, emit) }
    switch name {
    case "absent": try streamAbsent(call, isOverTime: false, emit)
    case "clamp", "clamp_min", "clamp_max": try streamClamp(call, emit)
    case "round": try streamRound(call, emit)
    case "vector":
      var row = try scalar(call.arguments[0])
      if !row.isEmpty { try emit(.empty, &row) }
    case "timestamp": try streamTimestamp(call, emit)
    case "sort", "sort_desc": try streamSorted(call, isDescending: name == "sort_desc", emit)
    case "label_replace": try streamLabelReplace(call, emit)
    case "label_join": try streamLabelJoin(call, emit)
    case "histogram_quantile": try streamHistogramQuantile(call, emit)
    case "histogram_count", "histogram_sum", "histogram_fraction":
      // These read native histograms, and every sample here is a number: nothing has a result.
      for argument in call.arguments where argument.type == .instantVector { try stream(argument) { _, _ in } }
    default: throw QueryError.execution("unknown function with name \(QuotedText.quote(name))")
    }
  }

  // MARK: range vectors

  private func streamRangeCall(_ call: CallExpression, _ function: @escaping RangeFunctions.Function, _ emit: Emit)
    throws
  {
    guard let argument = call.arguments.first(where: { $0.type == .rangeVector }) else { return }
    let scalars = try call.arguments.filter { $0.type == .scalar }.map(scalar)
    let keepsName = call.function.name == "last_over_time"
    let needsResets = RangeFunctions.needsResets(call.function.name)
    // Equal labels are refused wherever the values are: the result is checked as a whole, not step by step.
    var merger =
      keepsName || argument.isUniqueWithoutName ? nil : RowMerger(steps: grid.count, refusesEqualLabels: true)
    var row = Array(repeating: Double.absent, count: grid.count)
    var sliding = grid.count >= SlidingWindow.windowsMin ? SlidingWindow(function: call.function.name) : nil
    try visitWindows(argument) { labels, samples, placement in
      try fill(&row, samples, placement, scalars, needsResets: needsResets, &sliding, function)
      let labels = keepsName ? labels : labels.withoutMetricName
      if merger == nil { return try emit(labels, &row) }
      if row.isAllAbsent { return }
      try run.hold(samples: row.count)
      try merger?.add(labels, row)
    }
    try merger?.emit(emit)
  }

  /// Moves the window over the samples of one series; both ends only ever move forward.
  private func fill(
    _ row: inout [Double], _ samples: SampleBuffer, _ placement: WindowPlacement, _ scalars: [[Double]],
    needsResets: Bool, _ sliding: inout SlidingWindow?, _ function: RangeFunctions.Function
  ) throws {
    let timestamps = samples.timestamps
    var resets: [Int] = []
    if needsResets, samples.count > 1 {
      let values = samples.values
      for index in 1..<values.count where values[index] < values[index - 1] { resets.append(index) }
    }
    var window = SampleWindow(timestamps: timestamps, values: samples.values, resets: resets)
    if sliding != nil {
      sliding?.begin(window.values)
      try run.read(samples: grid.count)
    }
    for step in 0..<grid.count {
      window.end = placement.end(atStep: step, of: grid)
      window.start = window.end &- placement.rangeMilliseconds
      let earliest = window.end &- placement.reachMilliseconds
      while window.upper < timestamps.count, timestamps[window.upper] <= window.end { window.upper += 1 }
      while window.lower < window.upper, timestamps[window.lower] < earliest { window.lower += 1 }
      if window.count == 0 {
        row[step] = .absent
        continue
      }
      if let value = sliding?.value(window.lower, window.upper) {
        row[step] = value
        continue
      }
      try run.read(samples: window.count)
      window.evaluationTime = grid.time(step)
      if scalars.count > 0 { window.scalars.0 = scalars[0][step] }
      if scalars.count > 1 { window.scalars.1 = scalars[1][step] }
      row[step] = try function(window) ?? .absent
    }
  }

  // MARK: absence

  private func streamAbsent(_ call: CallExpression, isOverTime: Bool, _ emit: Emit) throws {
    var row = Array(repeating: 1.0, count: grid.count)
    let argument = call.arguments[0]
    if isOverTime {
      var present = Array(repeating: Double.absent, count: grid.count)
      var none: SlidingWindow?
      try visitWindows(argument) { _, samples, placement in
        try fill(&present, samples, placement, [], needsResets: false, &none) { _ in 1 }
        for step in 0..<grid.count where !present[step].isAbsent { row[step] = .absent }
      }
    } else {
      try stream(argument) { _, values in
        for step in 0..<grid.count where !values[step].isAbsent { row[step] = .absent }
      }
    }
    if !row.isAllAbsent { try emit(Self.labelsOfAbsent(argument.unwrapped), &row) }
  }

  /// The labels an absent series would have: those with one equality matcher and no other.
  private static func labelsOfAbsent(_ expression: Expression) -> LabelSet {
    let matchers: [LabelMatcher]
    switch expression {
    case .selector(let selector), .window(let selector, _, _): matchers = selector.matchers
    default: return .empty
    }
    var labels: [Label] = []
    var names: Set<String> = []
    var dropped: Set<String> = []
    for matcher in matchers where matcher.name != Label.metricName {
      if matcher.comparison == .equal, names.insert(matcher.name).inserted {
        labels.append(Label(name: matcher.name, value: matcher.value))
      } else {
        dropped.insert(matcher.name)
      }
    }
    return LabelSet(labels.filter { !dropped.contains($0.name) })
  }

  // MARK: values

  private func streamClamp(_ call: CallExpression, _ emit: Emit) throws {
    let first = try scalar(call.arguments[1])
    let second = call.arguments.count > 2 ? try scalar(call.arguments[2]) : first
    let name = call.function.name
    try droppingNames(of: call.arguments[0], emit) { row in
      for step in 0..<row.count where !row[step].isAbsent {
        switch name {
        case "clamp_min": row[step] = GoMath.max(first[step], row[step])
        case "clamp_max": row[step] = GoMath.min(first[step], row[step])
        default:
          row[step] =
            second[step] < first[step] ? .absent : GoMath.max(first[step], GoMath.min(second[step], row[step]))
        }
      }
    }
  }

  private func streamRound(_ call: CallExpression, _ emit: Emit) throws {
    let nearest = call.arguments.count > 1 ? try scalar(call.arguments[1]) : Array(repeating: 1, count: grid.count)
    try droppingNames(of: call.arguments[0], emit) { row in
      for step in 0..<row.count where !row[step].isAbsent {
        // The inverse is exact where the unit often is not: 0.1.
        let inverse = 1 / nearest[step]
        row[step] = (row[step] * inverse + 0.5).rounded(.down) / inverse
      }
    }
  }

  private func streamTimestamp(_ call: CallExpression, _ emit: Emit) throws {
    if case .selector(let selector) = call.arguments[0].unwrapped {
      var merger = call.arguments[0].isUniqueWithoutName ? nil : RowMerger(steps: grid.count)
      try streamSelector(selector, sampleTimes: true) { labels, row in
        if merger == nil { return try emit(labels.withoutMetricName, &row) }
        if !row.isAllAbsent { try merger?.add(labels.withoutMetricName, row) }
      }
      return try merger?.emit(emit) ?? ()
    }
    try droppingNames(of: call.arguments[0], emit) { row in
      for step in 0..<row.count where !row[step].isAbsent { row[step] = Double(grid.time(step)) / 1000 }
    }
  }

  private func streamCalendar(_ call: CallExpression, _ field: @escaping (CalendarFields) -> Int, _ emit: Emit) throws {
    func change(_ row: inout [Double]) {
      for step in 0..<row.count where !row[step].isAbsent {
        row[step] = Double(field(CalendarFields(unixSeconds: GoMath.truncated(row[step]))))
      }
    }
    guard let argument = call.arguments.first else {
      var row = (0..<grid.count).map { Double(grid.time($0)) / 1000 }
      change(&row)
      if !row.isEmpty { try emit(.empty, &row) }
      return
    }
    try droppingNames(of: argument, emit, change)
  }

  /// Order matters at one instant only; over a range, series are sorted by their labels in the end.
  private func streamSorted(_ call: CallExpression, isDescending: Bool, _ emit: Emit) throws {
    guard grid.count == 1 else { return try stream(call.arguments[0], emit) }
    let matrix = try collect(call.arguments[0])
    let order = (0..<matrix.count).sorted { one, other in
      let (left, right) = (matrix[one, 0], matrix[other, 0])
      // NaN comes last either way.
      if left.isNaN || right.isNaN { return !left.isNaN }
      return isDescending ? left > right : left < right
    }
    var row = [Double.absent]
    for index in order {
      matrix.copy(index, into: &row)
      try emit(matrix.labels[index], &row)
    }
  }

  // MARK: labels

  private static func string(_ expression: Expression) -> String {
    if case .string(let text, _) = expression.unwrapped { return text }
    return ""
  }

  private func streamRelabelled(_ argument: Expression, _ emit: Emit, _ change: (LabelSet) -> LabelSet) throws {
    var merger = RowMerger(steps: grid.count)
    try stream(argument) { labels, row in
      if row.isAllAbsent { return }
      try run.hold(samples: row.count)
      try merger.add(change(labels), row)
    }
    try merger.emit(emit)
  }

  private func streamLabelReplace(_ call: CallExpression, _ emit: Emit) throws {
    guard grid.count > 0 else { return }
    let texts = call.arguments.dropFirst().map(Self.string)
    let (destination, replacement, source) = (texts[0], texts[1], texts[2])
    guard let pattern = try? Pattern(texts[3]) else {
      throw QueryError.execution("invalid regular expression in label_replace(): \(texts[3])")
    }
    guard LabelName.isValid(destination) else {
      throw QueryError.execution("invalid destination label name in label_replace(): \(destination)")
    }
    try streamRelabelled(call.arguments[0], emit) { labels in
      guard let value = pattern.expand(replacement, matching: labels[source]) else { return labels }
      return labels.setting(destination, to: value)
    }
  }

  private func streamLabelJoin(_ call: CallExpression, _ emit: Emit) throws {
    guard grid.count > 0 else { return }
    let texts = call.arguments.dropFirst().map(Self.string)
    let (destination, separator, sources) = (texts[0], texts[1], texts.dropFirst(2))
    for source in sources where !LabelName.isValid(source) {
      throw QueryError.execution("invalid source label name in label_join(): \(source)")
    }
    guard LabelName.isValid(destination) else {
      throw QueryError.execution("invalid destination label name in label_join(): \(destination)")
    }
    try streamRelabelled(call.arguments[0], emit) { labels in
      labels.setting(destination, to: sources.map { labels[$0] }.joined(separator: separator))
    }
  }

  // MARK: histograms

  private func streamHistogramQuantile(_ call: CallExpression, _ emit: Emit) throws {
    let quantiles = try scalar(call.arguments[0])
    let matrix = try collect(call.arguments[1])
    // The metric name counts when buckets are put together, though the result has none.
    var groups: [LabelSet: Int] = [:]
    var order: [(labels: LabelSet, buckets: [(row: Int, bound: Double)])] = []
    for row in 0..<matrix.count {
      guard let bound = FloatText.parse(matrix.labels[row]["le"]) else { continue }
      let labels = matrix.labels[row].removing(["le"])
      if let group = groups[labels] {
        order[group].buckets.append((row, bound))
      } else {
        groups[labels] = order.count
        order.append((labels, [(row, bound)]))
      }
    }
    var merger = RowMerger(steps: grid.count)
    var row = Array(repeating: Double.absent, count: grid.count)
    for (labels, members) in order {
      for step in 0..<grid.count {
        var buckets: [Quantile.Bucket] = []
        for member in members where !matrix[member.row, step].isAbsent {
          buckets.append(Quantile.Bucket(upperBound: member.bound, count: matrix[member.row, step]))
        }
        row[step] = buckets.isEmpty ? .absent : Quantile.value(quantiles[step], of: &buckets)
      }
      if !row.isAllAbsent { try merger.add(labels.withoutMetricName, row) }
    }
    try merger.emit(emit)
  }
}
