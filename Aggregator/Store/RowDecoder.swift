internal import BongsuCodec
internal import BongsuModel
internal import BongsuWire

/// Rebuilds rows from one journal's entries, all nodes in the order of records: what a shard does at a restart, without
/// sessions.
struct RowDecoder: ~Copyable {
  /// A class, so that a node is changed where it stands.
  private final class Node {
    var id: NodeID?
    var isWanted = false
    var decoder = NodeRowDecoder()
  }

  private let includes: (NodeID) -> Bool
  private var nodes: [NodeNumber: Node] = [:]
  private var unpacked = NodeRowDecoder.Unpacked()

  /// - Parameter includes: whether a node's rows are wanted; others are not unpacked.
  init(_ includes: @escaping (NodeID) -> Bool) { self.includes = includes }

  /// Takes an entry; `false` when the reader wants no more.
  mutating func take(
    _ entry: JournalEntry, _ payload: RawSpan, _ losses: inout RawLosses,
    _ body: (NodeID, BlockShape, Tick, Span<Int64>) throws -> Bool
  ) throws -> Bool {
    switch entry {
    case .node(let number, let id):
      let node = node(number)
      node.id = id
      node.isWanted = includes(id)
    case .layout(let number, _, let announcement): node(number).decoder.announce(announcement, &unpacked)
    case .stream(let number, _, _): nodes[number]?.decoder.streamChanged()
    case .gap, .run: break
    case .block(let block): return try take(block, payload, &losses, body)
    }
    return true
  }

  private mutating func node(_ number: NodeNumber) -> Node {
    if let node = nodes[number] { return node }
    let node = Node()
    nodes[number] = node
    return node
  }

  private mutating func take(
    _ block: JournalBlock, _ payload: RawSpan, _ losses: inout RawLosses,
    _ body: (NodeID, BlockShape, Tick, Span<Int64>) throws -> Bool
  ) throws -> Bool {
    guard let node = nodes[block.node], let id = node.id, let shape = node.decoder.shape(block.header.layoutNumber)
    else {
      losses.undecodedRows += block.header.rowCount
      return true
    }
    guard node.isWanted else { return true }
    guard node.decoder.unpack(block, payload, shape, &unpacked) else {
      losses.undecodedRows += block.header.rowCount
      return true
    }
    for row in 0..<block.header.rowCount where block.counts(row) {
      let tick = block.firstTick.advanced(by: row, of: shape.layout.interval)
      guard try unpacked.withRow(row, shape.width, { try body(id, shape, tick, $0) }) else { return false }
    }
    return true
  }
}

extension JournalBlock {
  /// Whether row number `row` of the block counts.
  func counts(_ row: Int) -> Bool { parts.isEmpty || parts.contains { $0.contains(row) } }
}
