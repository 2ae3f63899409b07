public import BongsuModel
internal import BongsuRecordLog

/// Lets a reader look at the journals: calls its argument with the last record on disk of each shard and keeps all
/// records meanwhile; `false`, without a call, when the journals are not open.
public typealias JournalAccess = @Sendable (_ body: (_ committed: [UInt64]) throws -> Void) throws -> Bool

/// Every stored row, exactly as it was received, wherever it lies.
///
/// Rows come node by node in the order of names, of each node by tick, each tick once: late rows stand where they belong.
/// One visit sees one consistent state. Memory: one run and what the journals have of the visited nodes, bounded by
/// ``StoreLimits/tailWordsMax``; where they have more, they are read several times.
///
/// Thread rule: from any thread, several at once; blocks, so not for data-plane threads nor inside a task.
public final class RawHistory: Sendable {
  private let journals: [String]
  private let access: JournalAccess

  init(journals: [String], access: @escaping JournalAccess) {
    self.journals = journals
    self.access = access
  }

  /// Hands the wanted rows to `body`, run by run, which answers whether it wants more.
  ///
  /// A run has at least one row and one column; two runs of one node follow each other in time. What cannot be read is
  /// named in the answer and left out, never guessed.
  ///
  /// - Throws: ``StoreError/notOpen`` before the aggregator has opened its journals; what the disk refuses; what `body`
  ///   throws.
  public func forEachRun(_ selection: RawSelection, _ body: (RawRun) throws -> Bool) throws -> RawLosses {
    var losses = RawLosses()
    let isOpen = try access { committed in losses = try self.visit(selection, committed, body) }
    guard isOpen else { throw StoreError.notOpen }
    return losses
  }

  /// A layout that a node's rows have in some stretch of time.
  public struct Inventory: Hashable, Sendable {
    public let node: NodeID
    public let layout: RowLayout
    /// Ticks of the first and the last row with it, within the selection.
    public var ticks: ClosedRange<Tick>
  }

  /// Which layouts the selected nodes have had in the selected ticks: what can be asked for, without values.
  public func inventory(_ selection: RawSelection) throws -> (found: [Inventory], losses: RawLosses) {
    var found: [Inventory] = []
    let losses = try forEachRun(selection) { run in
      guard let first = run.ticks.first, let last = run.ticks.last else { return true }
      var index = found.count - 1
      while index >= 0, found[index].node == run.node, found[index].layout != run.layout { index -= 1 }
      if index >= 0, found[index].node == run.node {
        found[index].ticks = found[index].ticks.lowerBound...last
      } else {
        found.append(Inventory(node: run.node, layout: run.layout, ticks: first...last))
      }
      return true
    }
    return (found, losses)
  }

  /// Oldest and newest tick that are stored; `nil` when nothing is.
  public func extent() throws -> ClosedRange<Tick>? {
    var extent: ClosedRange<Tick>?
    _ = try forEachRun(RawSelection(ticks: Limits.tickRange)) { run in
      guard let first = run.ticks.first, let last = run.ticks.last else { return true }
      extent = extent.map { min($0.lowerBound, first)...max($0.upperBound, last) } ?? first...last
      return true
    }
    return extent
  }

  // MARK: Reading

  private func visit(
    _ selection: RawSelection, _ committed: [UInt64], _ body: (RawRun) throws -> Bool
  ) throws -> RawLosses {
    precondition(committed.count == journals.count, "\(committed.count) journals")
    let stretches = try zip(journals, committed).map { path, record in
      RawTail.Stretch(disk: try PosixDisk(path: path), from: 1, through: record)
    }
    var losses = RawLosses()
    // When the journals hold more than may be held at once, nodes come in several parts of all names.
    var bounds: [NodeID] = []
    var part = 0
    var wordsMax = StoreLimits.tailWordsMax
    while part <= bounds.count {
      let lower = part == 0 ? nil : bounds[part - 1]
      let upper = part < bounds.count ? bounds[part] : nil
      let tail = try RawTail(
        stretches, selection, wordsMax: wordsMax,
        includes: { node in
          (lower.map { node >= $0 } ?? true) && (upper.map { node < $0 } ?? true)
            && (selection.nodes.map { $0.contains(node) } ?? true)
        })
      if tail.isCutShort {
        // A single node, or very many parts: then rather much memory than no answer.
        let middle = bounds.count < StoreLimits.tailPartsMax ? Self.middle(of: tail) : nil
        if let middle { bounds.insert(middle, at: part) } else { wordsMax = .max }
        continue
      }
      losses.damage += part == 0 ? tail.losses.damage : []
      losses.undecodedRows += tail.losses.undecodedRows
      for node in tail.piles.keys.sorted() {
        for run in tail.piles[node]?.runs(of: node) ?? [] {
          guard try body(run) else { return losses }
        }
      }
      part += 1
    }
    return losses
  }

  /// The name that halves the nodes read so far; `nil` when there is only one.
  private static func middle(of tail: RawTail) -> NodeID? {
    let names = tail.piles.keys.sorted()
    guard names.count > 1 else { return nil }
    return names[names.count / 2]
  }
}
