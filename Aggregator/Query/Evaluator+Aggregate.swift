internal import BongsuSeries

extension Evaluator {
  /// Streams an aggregation: one row per group, in order of the groups' first appearance.
  func streamAggregate(_ aggregate: AggregateExpression, _ emit: Emit) throws {
    let grouping = LabelGrouping(aggregate.grouping, isExclusion: aggregate.isWithout)
    switch aggregate.operation {
    case .topk, .bottomk: try streamRanking(aggregate, grouping, emit)
    case .quantile: try streamQuantile(aggregate, grouping, emit)
    case .countValues: try streamValueCounts(aggregate, emit)
    default: try streamReduction(aggregate, grouping, emit)
    }
  }

  private func streamReduction(_ aggregate: AggregateExpression, _ grouping: LabelGrouping, _ emit: Emit) throws {
    var groups = GroupIndex(grouping)
    var reduction = Reduction(operation: aggregate.operation, steps: grid.count)
    if grid.count == 1, case .selector(let selector) = aggregate.expression.unwrapped {
      // The newest values, which the source may have side by side.
      try visitFamilies(of: selector, isTakenWhole: grouping.isConstant) { labels, values in
        let (group, isNew) = groups.findOrInsert(labels)
        if isNew {
          try run.hold(samples: 1)
          reduction.addGroup()
        }
        reduction.add(each: values, to: group)
      }
    } else {
      try reduce(aggregate.expression, &groups, &reduction)
    }
    var row = Array(repeating: Double.absent, count: grid.count)
    for group in 0..<groups.count {
      reduction.result(of: group, into: &row)
      try emit(grouping.chosen(from: groups.representatives[group]), &row)
    }
  }

  private func reduce(
    _ expression: Expression, _ groups: inout GroupIndex, _ reduction: inout Reduction
  ) throws {
    try stream(expression) { labels, row in
      if row.isAllAbsent { return }
      let (group, isNew) = groups.findOrInsert(labels)
      if isNew {
        try run.hold(samples: grid.count)
        reduction.addGroup()
      }
      reduction.add(row, to: group)
    }
  }

  private func streamQuantile(_ aggregate: AggregateExpression, _ grouping: LabelGrouping, _ emit: Emit) throws {
    guard let parameter = aggregate.parameter else { return }
    let quantiles = try scalar(parameter)
    let matrix = try collect(aggregate.expression)
    var groups = GroupIndex(grouping)
    let members = groups.members(of: matrix)
    var row = Array(repeating: Double.absent, count: grid.count)
    var values: [Double] = []
    for group in 0..<groups.count {
      for step in 0..<grid.count {
        values.removeAll(keepingCapacity: true)
        for member in members[group] where !matrix[member, step].isAbsent { values.append(matrix[member, step]) }
        row[step] = values.isEmpty ? .absent : Quantile.value(quantiles[step], of: &values)
      }
      try emit(grouping.chosen(from: groups.representatives[group]), &row)
    }
  }

  private func streamValueCounts(_ aggregate: AggregateExpression, _ emit: Emit) throws {
    guard case .string(let label, _)? = aggregate.parameter?.unwrapped else { return }
    guard grid.count > 0 else { return }
    guard LabelName.isValid(label) else { throw QueryError.execution("invalid label name \(QuotedText.quote(label))") }
    var merger: [LabelSet: Int] = [:]
    var counts = SeriesMatrix(steps: grid.count)
    let blank = Array(repeating: Double.absent, count: grid.count)
    let names = aggregate.isWithout ? aggregate.grouping : aggregate.grouping + [label]
    let grouping = LabelGrouping(names, isExclusion: aggregate.isWithout)
    try stream(aggregate.expression) { labels, row in
      for step in 0..<grid.count where !row[step].isAbsent {
        let group = grouping.chosen(from: labels.setting(label, to: FloatText.plain(row[step])))
        let index = merger[group] ?? counts.count
        if index == counts.count {
          try run.hold(samples: grid.count)
          merger[group] = index
          counts.append(group, blank)
        }
        counts[index, step] = counts[index, step].isAbsent ? 1 : counts[index, step] + 1
      }
    }
    var row = blank
    for index in 0..<counts.count {
      counts.copy(index, into: &row)
      try emit(counts.labels[index], &row)
    }
  }

  // MARK: topk, bottomk

  private func streamRanking(_ aggregate: AggregateExpression, _ grouping: LabelGrouping, _ emit: Emit) throws {
    guard let parameter = aggregate.parameter else { return }
    let limits = try scalar(parameter)
    let matrix = try collect(aggregate.expression)
    for limit in limits where !(limit <= 0x1p63 && limit >= -0x1p63) {
      throw QueryError.execution("Scalar value \(FloatText.general(limit)) overflows int64")
    }
    var groups = GroupIndex(grouping)
    let members = groups.members(of: matrix)
    let isTop = aggregate.operation == .topk
    var chosen = SeriesMatrix(steps: grid.count)
    let blank = Array(repeating: Double.absent, count: grid.count)
    if grid.count > 1 { for labels in matrix.labels { chosen.append(labels, blank) } }
    for group in 0..<groups.count {
      for step in 0..<grid.count {
        let limit = Int(min(max(limits[step], 0), Double(matrix.count)))
        if limit < 1 { continue }
        var heap = RankingHeap(limit: limit, isTop: isTop)
        for member in members[group] where !matrix[member, step].isAbsent { heap.offer(matrix[member, step], member) }
        for entry in heap.ranked() {
          if grid.count > 1 {
            chosen[entry.member, step] = entry.value
          } else {
            // At one instant the order of the answer is the ranking.
            chosen.append(matrix.labels[entry.member], [entry.value])
          }
        }
      }
    }
    var row = blank
    for index in 0..<chosen.count {
      chosen.copy(index, into: &row)
      if !row.isAllAbsent { try emit(chosen.labels[index], &row) }
    }
  }
}

extension GroupIndex {
  /// The rows of each group.
  fileprivate mutating func members(of matrix: SeriesMatrix) -> [[Int]] {
    var members: [[Int]] = []
    for row in 0..<matrix.count {
      let (group, isNew) = findOrInsert(matrix.labels[row])
      if isNew { members.append([row]) } else { members[group].append(row) }
    }
    return members
  }
}

/// Sum, mean, extremes, counts and deviations per group and step, updated row by row.
private struct Reduction {
  let operation: AggregateOperator
  let steps: Int
  private var values: [Double] = []
  private var means: [Double] = []
  private var counts: [Double] = []

  init(operation: AggregateOperator, steps: Int) {
    self.operation = operation
    self.steps = steps
  }

  mutating func addGroup() {
    // To negative zero any number can be added without being changed, negative zero included.
    values.append(contentsOf: repeatElement(operation == .sum ? -0.0 : 0, count: steps))
    counts.append(contentsOf: repeatElement(0, count: steps))
    if operation == .avg || operation == .stddev || operation == .stdvar {
      means.append(contentsOf: repeatElement(0, count: steps))
    }
  }

  mutating func add(_ row: [Double], to group: Int) {
    let base = group * steps
    if operation == .sum { return addToSum(row, base) }
    for step in 0..<steps where !row[step].isAbsent { add(row[step], at: base + step) }
  }

  /// The most usual one by itself: no question is asked in the loop.
  private mutating func addToSum(_ row: [Double], _ base: Int) {
    for step in 0..<steps where !row[step].isAbsent {
      values[base + step] += row[step]
      counts[base + step] += 1
    }
  }

  /// Adds values of one step, all present. Precondition: there is one step.
  mutating func add(each values: [Double], to group: Int) {
    for value in values { add(value, at: group) }
  }

  @inline(__always)
  private mutating func add(_ value: Double, at cell: Int) {
    let isFirst = counts[cell] == 0
    counts[cell] += 1
    switch operation {
    case .sum: values[cell] += value
    case .min: if isFirst || values[cell] > value || values[cell].isNaN { values[cell] = value }
    case .max: if isFirst || values[cell] < value || values[cell].isNaN { values[cell] = value }
    case .avg: addToMean(value, cell, isFirst)
    case .stddev, .stdvar:
      if isFirst {
        means[cell] = value
        // One value deviates by nothing, but infinity and NaN do by NaN.
        values[cell] = 0
      } else {
        let delta = value - means[cell]
        means[cell] += delta / counts[cell]
        values[cell] += delta * (value - means[cell])
      }
    default: break
    }
  }

  private mutating func addToMean(_ value: Double, _ cell: Int, _ isFirst: Bool) {
    let mean = means[cell]
    if isFirst {
      means[cell] = value
      return
    }
    if mean.isInfinite {
      // An infinite mean stays, unless NaN or the opposite infinity joins.
      if value.isInfinite, (mean > 0) == (value > 0) { return }
      if value.isFinite { return }
    }
    // Dividing both terms keeps the sum from overflowing.
    means[cell] += value / counts[cell] - mean / counts[cell]
  }

  func result(of group: Int, into row: inout [Double]) {
    for step in 0..<steps {
      let cell = group * steps + step
      if counts[cell] == 0 {
        row[step] = .absent
        continue
      }
      switch operation {
      case .avg: row[step] = means[cell]
      case .count: row[step] = counts[cell]
      case .group: row[step] = 1
      case .stddev: row[step] = (values[cell] / counts[cell]).squareRoot()
      case .stdvar: row[step] = values[cell] / counts[cell]
      default: row[step] = values[cell]
      }
    }
  }
}

/// Keeps the `limit` largest (or smallest) values offered. NaN ranks last either way.
private struct RankingHeap {
  struct Entry {
    var value: Double
    var member: Int
  }

  let limit: Int
  let isTop: Bool
  /// A binary heap with the entry to give up first at the root.
  private var entries: [Entry] = []

  init(limit: Int, isTop: Bool) {
    self.limit = limit
    self.isTop = isTop
  }

  /// Of equal values it depends on the shape of the heap which one is given up; taking the root out before the new
  /// entry goes in makes the choice that Prometheus makes.
  mutating func offer(_ value: Double, _ member: Int) {
    let entry = Entry(value: value, member: member)
    guard entries.count == limit else {
      push(entry)
      return
    }
    let worst = entries[0].value
    guard worst.isNaN || (isTop ? worst < value : worst > value) else { return }
    if limit == 1 {
      entries[0] = entry
      return
    }
    entries.swapAt(0, entries.count - 1)
    entries.removeLast()
    siftDown(0)
    push(entry)
  }

  private mutating func push(_ entry: Entry) {
    entries.append(entry)
    siftUp(entries.count - 1)
  }

  /// Entries from best to worst.
  func ranked() -> [Entry] { entries.sorted { isWorse($1.value, $0.value) && !($0.value.isNaN) } }

  private func isWorse(_ one: Double, _ other: Double) -> Bool {
    if one.isNaN { return true }
    return isTop ? one < other : one > other
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard isWorse(entries[child].value, entries[parent].value) else { return }
      entries.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while 2 * parent + 1 < entries.count {
      var child = 2 * parent + 1
      if child + 1 < entries.count, isWorse(entries[child + 1].value, entries[child].value) { child += 1 }
      guard isWorse(entries[child].value, entries[parent].value) else { return }
      entries.swapAt(child, parent)
      parent = child
    }
  }
}
