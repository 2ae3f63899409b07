internal import BongsuModel

/// One reader's way through nodes and hours: brings the chunks of a partition and the rows of the journals together.
struct RawVisit {
  let store: RawStore
  let selection: RawSelection
  var losses = RawLosses()

  init(store: RawStore, selection: RawSelection) {
    self.store = store
    self.selection = selection
  }

  /// Words of chunks that are unpacked before the first run is handed over.
  private static let wordsMax = 4 << 20

  /// Visits the nodes of the tail and of the partitions that `includes` wants; `false` when the reader has enough.
  mutating func visit(
    _ tail: inout RawTail, _ includes: (NodeID) -> Bool, _ body: (RawRun) throws -> Bool
  ) throws -> Bool {
    let lower = selection.ticks.lowerBound.unixMilliseconds
    let upper = selection.ticks.upperBound.unixMilliseconds
    var hours = Set(store.starts.filter { $0 <= upper && RawStore.ticks(of: $0).upperBound >= lower })
    var names = Set(tail.nodes.keys)
    for hour in hours {
      guard let partition = partition(hour) else { continue }
      if let nodes = selection.nodes, nodes.count < 64 {
        for node in nodes where includes(node) && partition.has(node) { names.insert(node) }
      } else {
        for node in partition.nodes where includes(node) { names.insert(node) }
      }
    }
    for rows in tail.nodes.values {
      guard let extent = rows.extent else { continue }
      var hour = RawStore.partition(of: extent.lowerBound)
      while hour <= extent.upperBound {
        hours.insert(hour)
        hour += StoreLimits.partitionMilliseconds
      }
    }
    let order = hours.sorted()
    let nodes = selection.sorted(names)
    note(store.missingHours(lower...upper))
    let block = blockSize(hours: order.count)
    for start in stride(from: 0, to: nodes.count, by: block) {
      let some = Array(nodes[start..<min(start + block, nodes.count)])
      guard try visit(some, order, &tail, body) else { return false }
    }
    return true
  }

  /// Nodes that are read in one transaction: many where little is wanted of each, else one.
  private func blockSize(hours: Int) -> Int {
    let span = selection.ticks.upperBound.unixMilliseconds - selection.ticks.lowerBound.unixMilliseconds
    let seconds = Int(min(span / 1000 + 1, Int64(hours) * StoreLimits.partitionMilliseconds / 1000))
    let columns = selection.skipsValues ? 1 : min(selection.metrics?.count ?? 20, 20)
    return max(1, min(512, Self.wordsMax / max(1, seconds * columns * 8)))
  }

  private mutating func visit(
    _ nodes: [NodeID], _ hours: [Int64], _ tail: inout RawTail, _ body: (RawRun) throws -> Bool
  ) throws -> Bool {
    var runs: [NodeID: [RawRun]] = [:]
    var piles: [NodeID: (pile: RawPile, shard: Int)] = [:]
    for node in nodes {
      guard let shard = tail.nodes[node]?.shard, let pile = tail.takePile(of: node) else { continue }
      piles[node] = (pile, shard)
    }
    for hour in hours {
      let view = view(of: nodes, hour)
      for node in nodes {
        let found = merged(node, hour, view, piles[node])
        if nodes.count > 1 {
          if !found.isEmpty { runs[node, default: []] += found }
          continue
        }
        for run in found { guard try body(run) else { return false } }
      }
    }
    for node in nodes {
      for run in runs[node] ?? [] { guard try body(run) else { return false } }
    }
    return true
  }

  private mutating func note(_ damage: [String]) {
    guard !damage.isEmpty else { return }
    losses.damage += damage
    losses.hasLostRows = true
  }

  private mutating func partition(_ hour: Int64) -> RawPartition? {
    do throws(StoreError) {
      return try store.partition(hour, making: false)
    } catch {
      note(["\(error)"])
      return nil
    }
  }

  private mutating func view(of nodes: [NodeID], _ hour: Int64) -> RawPartition.View {
    guard let partition = partition(hour) else { return RawPartition.View() }
    do throws(StoreError) {
      let view = try partition.view(of: nodes, selection)
      note(view.damage)
      return view
    } catch {
      note(["\(error)"])
      // What the journals have of the hour may be in the file too; it is not given twice, so it is not given at all
      // where the file last said so.
      var view = RawPartition.View()
      view.applied = partition.appliedRecords
      return view
    }
  }

  /// A node's runs of an hour by tick.
  private func merged(
    _ node: NodeID, _ hour: Int64, _ view: RawPartition.View, _ tail: (pile: RawPile, shard: Int)?
  ) -> [RawRun] {
    var runs = (view.pieces[node] ?? []).map(\.run)
    let isDisjoint = Self.sortIfDisjoint(&runs)
    guard let (pile, shard) = tail else {
      return isDisjoint ? runs : Self.merge(node, runs, selection, hour)
    }
    let applied = view.applied(shard: shard, group: RawGroups.group(of: node))
    runs += pile.runs(of: node, in: RawStore.ticks(of: hour)) { _, record in record > applied }
    return Self.sortIfDisjoint(&runs) ? runs : Self.merge(node, runs, selection, hour)
  }

  /// Puts runs in the order of time; `false`, and nothing changed, when some overlap.
  private static func sortIfDisjoint(_ runs: inout [RawRun]) -> Bool {
    let sorted = runs.sorted { $0.firstTick < $1.firstTick }
    guard zip(sorted, sorted.dropFirst()).allSatisfy({ $0.lastTick < $1.firstTick }) else { return false }
    runs = sorted
    return true
  }

  private static func merge(
    _ node: NodeID, _ runs: [RawRun], _ selection: RawSelection, _ hour: Int64
  ) -> [RawRun] {
    var pile = RawPile()
    for run in runs { pile.put(run, selection) }
    return pile.runs(of: node, in: RawStore.ticks(of: hour))
  }
}

extension RawRun {
  fileprivate var firstTick: Int64 { ticks.first?.unixMilliseconds ?? 0 }
  fileprivate var lastTick: Int64 { ticks.last?.unixMilliseconds ?? 0 }
}
