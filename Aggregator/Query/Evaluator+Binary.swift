internal import BongsuSeries

extension Evaluator {
  /// Streams a binary operation with at least one vector.
  func streamBinary(_ binary: BinaryExpression, _ emit: Emit) throws {
    if let matching = binary.matching {
      if binary.operation.isSetOperator { return try streamSetOperation(binary, matching, emit) }
      return try streamMatched(binary, matching, emit)
    }
    let vectorIsLeft = binary.left.type == .instantVector
    let scalars = try scalar(vectorIsLeft ? binary.right : binary.left)
    let vector = vectorIsLeft ? binary.left : binary.right
    let operation = binary.operation
    let change: (inout [Double]) -> Void = { row in
      for step in 0..<row.count where !row[step].isAbsent {
        let (left, right) = vectorIsLeft ? (row[step], scalars[step]) : (scalars[step], row[step])
        if operation.isComparison, !binary.returnsBool {
          if !operation.holds(left, right) { row[step] = .absent }
        } else {
          row[step] = operation.value(left, right)
        }
      }
    }
    if operation.dropsMetricName || binary.returnsBool {
      return try droppingNames(of: vector, emit, change)
    }
    try stream(vector) { labels, row in
      change(&row)
      try emit(labels, &row)
    }
  }

  // MARK: and, or, unless

  private func streamSetOperation(_ binary: BinaryExpression, _ matching: VectorMatching, _ emit: Emit) throws {
    var groups = GroupIndex(LabelGrouping(matching.labels, isExclusion: !matching.isOn))
    let steps = grid.count
    // For every group of the deciding side, the steps at which it has a value.
    var presence: [Bool] = []
    func note(_ labels: LabelSet, _ row: [Double]) throws {
      if row.isAllAbsent { return }
      let (group, isNew) = groups.findOrInsert(labels)
      if isNew {
        try run.hold(samples: steps)
        presence.append(contentsOf: repeatElement(false, count: steps))
      }
      for step in 0..<steps where !row[step].isAbsent { presence[group * steps + step] = true }
    }
    guard binary.operation == .or else {
      try stream(binary.right) { try note($0, $1) }
      let keepsMatched = binary.operation == .and
      // Nothing can be kept; and reading a selector cannot be wrong in a way that has to be told.
      if keepsMatched, groups.count == 0, case .selector = binary.left { return }
      try stream(binary.left) { labels, row in
        let group = groups.find(labels)
        for step in 0..<steps where (group.map { presence[$0 * steps + step] } ?? false) != keepsMatched {
          row[step] = .absent
        }
        try emit(labels, &row)
      }
      return
    }
    var merger = RowMerger(steps: steps)
    try stream(binary.left) { labels, row in
      try note(labels, row)
      if !row.isAllAbsent { try merger.add(labels, row) }
    }
    try stream(binary.right) { labels, row in
      if let group = groups.find(labels) {
        for step in 0..<steps where presence[group * steps + step] { row[step] = .absent }
      }
      if row.isAllAbsent { return }
      try run.hold(samples: steps)
      try merger.add(labels, row)
    }
    try merger.emit(emit)
  }

  // MARK: arithmetic and comparison between vectors

  private func streamMatched(_ binary: BinaryExpression, _ matching: VectorMatching, _ emit: Emit) throws {
    let left = try collect(binary.left)
    guard let narrowed = try binary.right.narrowed(to: left, matching) else { return }
    let right = try collect(narrowed)
    let join = VectorJoin(binary: binary, matching: matching, left: left, right: right)
    try join.result(run).emit(emit)
  }
}

/// Joins two vectors series by series.
///
/// One side, `one`, must have at most one value per group of matching labels and step; the other is `many`. Series
/// that share a group are told apart by step, because a range query is a sequence of independent instants.
private struct VectorJoin {
  let operation: BinaryOperator
  let returnsBool: Bool
  let matching: VectorMatching
  let many: SeriesMatrix
  let one: SeriesMatrix
  /// Whether `many` is the right operand.
  let isSwapped: Bool
  let steps: Int

  init(binary: BinaryExpression, matching: VectorMatching, left: SeriesMatrix, right: SeriesMatrix) {
    operation = binary.operation
    returnsBool = binary.returnsBool
    self.matching = matching
    isSwapped = matching.cardinality == .oneToMany
    many = isSwapped ? right : left
    one = isSwapped ? left : right
    steps = left.steps
  }

  func result(_ run: EvaluationRun) throws -> RowMerger {
    var groups = GroupIndex(LabelGrouping(matching.labels, isExclusion: !matching.isOn))
    // Nearly every group has one row; the others of a group lie beside.
    var rows: [Int] = []
    var more: [Int: [Int]] = [:]
    for row in 0..<one.count {
      let (group, isNew) = groups.findOrInsert(one.labels[row])
      if isNew { rows.append(row) } else { more[group, default: []].append(row) }
    }
    try refuseDuplicates(more.sorted { $0.key < $1.key }.map { [rows[$0.key]] + $0.value })
    var merger = RowMerger(steps: steps)
    var owners: [Int] = []
    // Steps at which a group already has a result, for one-to-one matching.
    var matched: [Int: [Bool]] = [:]
    var row = Array(repeating: Double.absent, count: steps)
    for series in 0..<many.count {
      try run.check()
      guard let group = groups.find(many.labels[series]) else { continue }
      for place in 0..<1 + (more.isEmpty ? 0 : more[group]?.count ?? 0) {
        let partner = place == 0 ? rows[group] : more[group]?[place - 1] ?? rows[group]
        guard compute(series, partner, into: &row) else { continue }
        if matching.cardinality == .oneToOne { try refuseSecondMatch(row, &matched[group, default: []]) }
        let labels = resultLabels(many.labels[series], one.labels[partner])
        try run.hold(samples: steps)
        let isSameGroup = merger.index(of: labels).map { owners[$0] == group } ?? false
        let isAmbiguous = isSameGroup && matching.cardinality != .oneToOne
        let index = try merger.add(labels, row, otherwise: isAmbiguous ? Self.ambiguousGrouping : RowMerger.duplicate)
        if index == owners.count { owners.append(group) }
      }
    }
    return merger
  }

  private static let ambiguousGrouping = QueryError.execution(
    "multiple matches for labels: grouping labels must ensure unique matches")

  /// Computes one pair of series. False when no step has a result.
  private func compute(_ series: Int, _ partner: Int, into row: inout [Double]) -> Bool {
    var hasResult = false
    for step in 0..<steps {
      let manyValue = many[series, step]
      let oneValue = one[partner, step]
      row[step] = .absent
      if manyValue.isAbsent || oneValue.isAbsent { continue }
      let (left, right) = isSwapped ? (oneValue, manyValue) : (manyValue, oneValue)
      if operation.isComparison, !returnsBool {
        guard operation.holds(left, right) else { continue }
        row[step] = left
      } else {
        row[step] = operation.value(left, right)
      }
      hasResult = true
    }
    return hasResult
  }

  private func resultLabels(_ manySide: LabelSet, _ oneSide: LabelSet) -> LabelSet {
    var labels = operation.dropsMetricName ? manySide.withoutMetricName : manySide
    if matching.cardinality == .oneToOne {
      labels = matching.isOn ? labels.keeping(matching.labels) : labels.removing(matching.labels)
    }
    for name in matching.included { labels = labels.setting(name, to: oneSide[name]) }
    return returnsBool ? labels.withoutMetricName : labels
  }

  /// Refuses groups with two values of the one side at a step, unless the other side has nothing at all there.
  private func refuseDuplicates(_ groupsOfSeveral: [[Int]]) throws(QueryError) {
    guard !groupsOfSeveral.isEmpty else { return }
    let isRelevant = many.presence
    for rows in groupsOfSeveral {
      for step in 0..<steps where isRelevant[step] {
        let present = rows.filter { !one[$0, step].isAbsent }
        guard present.count > 1 else { continue }
        let (first, second) = (one.labels[present[0]], one.labels[present[1]])
        let group = matching.isOn ? second.keeping(matching.labels) : second.removing(matching.labels).withoutMetricName
        let side = isSwapped ? "left" : "right"
        throw .execution(
          "found duplicate series for the match group \(group) on the \(side) hand-side of the operation: "
            + "[\(second), \(first)];many-to-many matching not allowed: matching labels must be unique on one side")
      }
    }
  }

  private func refuseSecondMatch(_ row: [Double], _ matched: inout [Bool]) throws(QueryError) {
    if matched.isEmpty { matched = Array(repeating: false, count: steps) }
    for step in 0..<steps where !row[step].isAbsent {
      guard !matched[step] else {
        throw .execution(
          "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)")
      }
      matched[step] = true
    }
  }
}

extension Expression {
  /// Sides with more series than this are not looked through for what they have in common with the other side.
  private static let narrowingSeriesMax = 1000
  /// Values that one matcher may list.
  private static let narrowingValuesMax = 256

  /// The same expression, which reads only what can match one of a few series: `(a > 9) - a offset 2m` need not read all
  /// there was of `a`. Only a selector of one metric whose series match by all their labels is narrowed, since nothing
  /// that is left out could be a result, or a duplicate that is an error.
  ///
  /// - Returns: `nil` when nothing can match.
  fileprivate func narrowed(to left: SeriesMatrix, _ matching: VectorMatching) throws -> Expression? {
    if case .parenthesized(let inner, _) = self { return try inner.narrowed(to: left, matching) }
    guard matching.cardinality == .oneToOne, !matching.isOn, matching.labels.isEmpty,
      left.count <= Self.narrowingSeriesMax, case .selector(var selector) = self,
      selector.matchers.contains(where: { $0.name == Label.metricName && $0.comparison == .equal })
    else { return self }
    guard let first = left.labels.first else { return nil }
    for label in first.labelsWithoutName where !selector.matchers.contains(where: { $0.name == label.name }) {
      let values = Set(left.labels.map { $0[label.name] })
      guard values.count <= Self.narrowingValuesMax, !values.contains("") else { continue }
      selector.matchers.append(try LabelMatcher(label.name, anyOf: values.sorted()))
    }
    return .selector(selector)
  }
}
