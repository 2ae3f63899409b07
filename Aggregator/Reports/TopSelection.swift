/// Picks and orders the rows of a `top` answer.
///
/// Larger comes first, unknown figures come last, and equal figures go by identifier, so that equal data always prints
/// alike. Rows that name a parent form a tree: siblings are sorted among themselves and every row comes directly before
/// its children. Cutting such a list leaves no row without its parent, because parents come first.
public enum TopSelection {
  /// The first `limit` rows in the given order.
  ///
  /// - Complexity: O(n log limit) for flat levels with memory for `limit` rows, O(n log n) for a tree.
  public static func rows(_ rows: [TopRow], order: TopOrder, limit: Int) -> [TopRow] {
    guard rows.contains(where: { $0.parent != nil }) else {
      var picked = TopPicker(order: order, limit: limit)
      for row in rows { picked.offer(row) }
      return picked.sorted()
    }
    return Array(treeOrder(rows, order: order).prefix(max(0, limit)))
  }

  /// Whether `left` comes before `right`.
  static func precedes(_ left: TopRow, _ right: TopRow, by order: TopOrder) -> Bool {
    switch order {
    case .power:
      if left.totalMilliwatts != right.totalMilliwatts { return left.totalMilliwatts > right.totalMilliwatts }
    case .energy:
      if left.energyMillijoules != right.energyMillijoules {
        guard let leftEnergy = left.energyMillijoules else { return false }
        guard let rightEnergy = right.energyMillijoules else { return true }
        return leftEnergy > rightEnergy
      }
    case .utilization:
      if left.utilizationRatio != right.utilizationRatio {
        guard let leftRatio = left.utilizationRatio else { return false }
        guard let rightRatio = right.utilizationRatio else { return true }
        return leftRatio > rightRatio
      }
    case .estimated:
      if left.estimatedMilliwatts != right.estimatedMilliwatts {
        return left.estimatedMilliwatts > right.estimatedMilliwatts
      }
    case .coverage:
      if left.coverageRatio != right.coverageRatio {
        guard let leftRatio = left.coverageRatio else { return false }
        guard let rightRatio = right.coverageRatio else { return true }
        return leftRatio < rightRatio
      }
    case .idle:
      if left.gpusIdle != right.gpusIdle { return left.gpusIdle > right.gpusIdle }
    case .name: break
    }
    return left.id < right.id
  }

  /// Whether the identifier or the name of `row` contains `text`, small and capital Latin letters being the same; every
  /// row contains nothing.
  public static func matches(_ row: TopRow, _ text: String) -> Bool {
    text.isEmpty || contains(row.id, text) || contains(row.name, text)
  }

  /// Byte by byte and without copies: it is asked of every GPU of a nation.
  private static func contains(_ text: String, _ wanted: String) -> Bool {
    func folded(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte + 0x20 : byte }
    let text = text.utf8
    let wanted = wanted.utf8
    var start = text.startIndex
    var left = text.count - wanted.count
    while left >= 0 {
      if zip(text[start...], wanted).allSatisfy({ folded($0) == folded($1) }) { return true }
      text.formIndex(after: &start)
      left -= 1
    }
    return false
  }

  /// The rows that match `text`, and in a tree those above them, so that every row keeps its parent.
  public static func found(_ text: String, in rows: [TopRow]) -> [TopRow] {
    var kept = Set(rows.filter { matches($0, text) }.map(\.id))
    let parents = Dictionary(rows.compactMap { row in row.parent.map { (row.id, $0) } }) { first, _ in first }
    for id in kept {
      var next = parents[id]
      while let parent = next, kept.insert(parent).inserted { next = parents[parent] }
    }
    return rows.filter { kept.contains($0.id) }
  }

  /// Depth-first order. A row whose parent is missing or that sits in a ring of parents is taken for a root, so that
  /// every row appears exactly once whatever the source hands over.
  private static func treeOrder(_ rows: [TopRow], order: TopOrder) -> [TopRow] {
    let known = Set(rows.map(\.id))
    var children: [String: [TopRow]] = [:]
    var roots: [TopRow] = []
    for row in rows {
      if let parent = row.parent, known.contains(parent), parent != row.id {
        children[parent, default: []].append(row)
      } else {
        roots.append(row)
      }
    }
    var ordered: [TopRow] = []
    ordered.reserveCapacity(rows.count)
    walk(from: roots, children: &children, order: order, into: &ordered)
    while let stranded = children.values.joined().min(by: { $0.id < $1.id }) {
      children[stranded.parent ?? ""]?.removeAll { $0.id == stranded.id }
      walk(from: [stranded], children: &children, order: order, into: &ordered)
    }
    return ordered
  }

  private static func walk(
    from roots: [TopRow], children: inout [String: [TopRow]], order: TopOrder, into ordered: inout [TopRow]
  ) {
    var pending = roots.sorted { precedes($1, $0, by: order) }
    while let row = pending.popLast() {
      ordered.append(row)
      guard let below = children.removeValue(forKey: row.id) else { continue }
      pending.append(contentsOf: below.sorted { precedes($1, $0, by: order) })
    }
  }
}

/// Keeps the first `limit` rows of a stream of any length in memory for `limit` rows.
///
/// A binary heap with the worst kept row at its root, so that most rows of a nation of GPUs cost one comparison.
public struct TopPicker: Sendable {
  private let order: TopOrder
  private let limit: Int
  private let search: String
  private var heap: [TopRow] = []
  /// How many rows were offered and matched.
  public private(set) var offered = 0

  /// Keeps at most `limit` rows that match `search`; a negative limit counts as 0.
  public init(order: TopOrder, limit: Int, search: String = "") {
    self.order = order
    self.search = search
    self.limit = max(0, limit)
  }

  /// Takes `row` in if it is among the first so far.
  public mutating func offer(_ row: TopRow) {
    guard TopSelection.matches(row, search) else { return }
    offered += 1
    guard limit > 0 else { return }
    if heap.count < limit {
      heap.append(row)
      siftUp(from: heap.count - 1)
    } else if TopSelection.precedes(row, heap[0], by: order) {
      heap[0] = row
      siftDown()
    }
  }

  /// The kept rows, first one first.
  public func sorted() -> [TopRow] {
    heap.sorted { TopSelection.precedes($0, $1, by: order) }
  }

  /// Whether `left` must lie nearer the root than `right`: it is the worse one.
  private func isWorse(_ left: TopRow, _ right: TopRow) -> Bool {
    TopSelection.precedes(right, left, by: order)
  }

  private mutating func siftUp(from start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard isWorse(heap[child], heap[parent]) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func siftDown() {
    var parent = 0
    while true {
      var worst = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isWorse(heap[child], heap[worst]) {
        worst = child
      }
      guard worst != parent else { return }
      heap.swapAt(parent, worst)
      parent = worst
    }
  }
}
