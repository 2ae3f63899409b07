internal import BongsuSeries

/// A choice of labels by which series are put together: `by`/`on` the names, or all `without`/`ignoring` them.
struct LabelGrouping {
  let names: [String]
  let isExclusion: Bool

  /// All labels but the metric name and `names` when `isExclusion`, else just `names`.
  init(_ names: [String], isExclusion: Bool) {
    self.names = names
    self.isExclusion = isExclusion
  }

  /// A hash of the chosen labels.
  func hash(_ set: LabelSet) -> UInt64 {
    guard isExclusion else {
      var hash: UInt64 = 0x51_7C_C1_B7_27_22_0A_95
      for name in names { hash = ByteOrder.mix(hash, ByteOrder.hash(set[name])) }
      return hash
    }
    // The same as the set's own, which is kept, as long as none of its labels is left out.
    let leavesAll = names.isEmpty || !set.labelsWithoutName.contains { excludes($0.name) }
    return leavesAll ? set.hashWithoutName : set.removing(names).hashWithoutName
  }

  /// Whether two series agree in the chosen labels.
  func areEqual(_ one: LabelSet, _ other: LabelSet) -> Bool {
    guard isExclusion else { return names.allSatisfy { ByteOrder.areEqual(one[$0], other[$0]) } }
    if names.isEmpty { return one.agreesWithoutName(other) }
    let left = one.labelsWithoutName
    let right = other.labelsWithoutName
    var (a, b) = (0, 0)
    while true {
      while a < left.count, excludes(left[a].name) { a += 1 }
      while b < right.count, excludes(right[b].name) { b += 1 }
      guard a < left.count, b < right.count else { return a == left.count && b == right.count }
      guard ByteOrder.areEqual(left[a].name, right[b].name), ByteOrder.areEqual(left[a].value, right[b].value) else {
        return false
      }
      a += 1
      b += 1
    }
  }

  /// The chosen labels of a series.
  func chosen(from set: LabelSet) -> LabelSet {
    isExclusion ? set.removing(names).withoutMetricName : set.keeping(names)
  }

  /// Whether all members of a family agree in the chosen labels.
  func isConstant(in family: LabelFamily) -> Bool {
    if isExclusion { return family.differing.allSatisfy(excludes) }
    // The metric name is nobody's label and may differ.
    return !names.contains(Label.metricName) && !family.differing.contains(where: excludes)
  }

  /// Whether a label is among the names.
  private func excludes(_ name: String) -> Bool {
    for excluded in names where ByteOrder.areEqual(excluded, name) { return true }
    return false
  }
}

/// Numbers groups of series in order of first appearance.
struct GroupIndex {
  let grouping: LabelGrouping
  /// One series of each group.
  private(set) var representatives: [LabelSet] = []
  private var firstByHash: [UInt64: Int] = [:]
  /// Next group with the same hash, or -1.
  private var nextInChain: [Int] = []
  /// The group found last: neighbours in a store mostly belong together.
  private var latest = -1
  /// The family of the series looked at last, when all of it is in the latest group.
  private var latestFamily: LabelFamily?
  /// What `find` found last, and the family of the series it was asked for when that holds for all of the family.
  private var found: Int?
  private var soughtFamily: LabelFamily?

  init(_ grouping: LabelGrouping) { self.grouping = grouping }

  var count: Int { representatives.count }

  /// The group of a series, if there is one.
  mutating func find(_ set: LabelSet) -> Int? {
    if let family = set.family {
      if family === soughtFamily { return found }
      soughtFamily = grouping.isConstant(in: family) ? family : nil
    } else {
      soughtFamily = nil
    }
    found = search(set)
    return found
  }

  private func search(_ set: LabelSet) -> Int? {
    var candidate = firstByHash[grouping.hash(set)] ?? -1
    while candidate >= 0 {
      if grouping.areEqual(representatives[candidate], set) { return candidate }
      candidate = nextInChain[candidate]
    }
    return nil
  }

  /// The group of a series, made if there was none.
  mutating func findOrInsert(_ set: LabelSet) -> (group: Int, isNew: Bool) {
    guard let family = set.family else {
      latestFamily = nil
      return look(for: set)
    }
    if family === latestFamily { return (latest, false) }
    latestFamily = grouping.isConstant(in: family) ? family : nil
    return look(for: set)
  }

  private mutating func look(for set: LabelSet) -> (group: Int, isNew: Bool) {
    if latest >= 0, grouping.areEqual(representatives[latest], set) { return (latest, false) }
    let hash = grouping.hash(set)
    let first = firstByHash[hash] ?? -1
    var candidate = first
    while candidate >= 0 {
      if grouping.areEqual(representatives[candidate], set) {
        latest = candidate
        return (candidate, false)
      }
      candidate = nextInChain[candidate]
    }
    let group = representatives.count
    latest = group
    soughtFamily = nil
    representatives.append(set)
    nextInChain.append(first)
    firstByHash[hash] = group
    return (group, true)
  }
}
