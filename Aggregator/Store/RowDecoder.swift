internal import BongsuCodec
internal import BongsuModel
internal import BongsuWire

/// Rebuilds rows from one journal's entries: what a shard does at a restart, without sessions.
struct RowDecoder: ~Copyable {
  private struct Node {
    var id: NodeID?
    var isWanted = false
    var shapes: [Int: BlockShape] = [:]
    /// The newest row, what is known of it, and its layout: what the next based block may build on.
    var row: [Int64] = []
    var rowTick = Int64.min
    var rowLayout = -1
    var base = JournalBase()
  }

  private let includes: (NodeID) -> Bool
  private var nodes: [NodeNumber: Node] = [:]
  private var decoder = BlockDecoder()
  private var scratch: [Int64] = []

  /// - Parameter includes: whether a node's rows are wanted; others are not decoded.
  init(_ includes: @escaping (NodeID) -> Bool) { self.includes = includes }

  /// The name behind a node's number, as far as it was read.
  func id(of node: NodeNumber) -> NodeID? { nodes[node]?.id }

  /// Takes an entry; `false` when the reader wants no more.
  mutating func take(
    _ entry: JournalEntry, _ payload: RawSpan, _ losses: inout RawLosses,
    _ body: (NodeID, BlockShape, Tick, Span<Int64>) throws -> Bool
  ) throws -> Bool {
    switch entry {
    case .node(let number, let id):
      nodes[number, default: Node()].id = id
      nodes[number, default: Node()].isWanted = includes(id)
    case .layout(let number, _, let announcement):
      nodes[number, default: Node()].shapes[announcement.number] = BlockShape(announcement.layout)
      // A number with a new meaning makes the row of the old one worthless as a base.
      if nodes[number]?.rowLayout == announcement.number { nodes[number]?.base.streamChanged() }
    case .stream(let number, _, _): nodes[number]?.base.streamChanged()
    case .gap, .run: break
    case .block(let block): return try take(block, payload, &losses, body)
    }
    return true
  }

  private mutating func take(
    _ block: JournalBlock, _ payload: RawSpan, _ losses: inout RawLosses,
    _ body: (NodeID, BlockShape, Tick, Span<Int64>) throws -> Bool
  ) throws -> Bool {
    guard let node = nodes[block.node], let id = node.id, let shape = node.shapes[block.header.layoutNumber] else {
      losses.undecodedRows += block.header.rowCount
      return true
    }
    guard node.isWanted else { return true }
    guard decode(block, payload, node, shape) else {
      losses.undecodedRows += block.header.rowCount
      return true
    }
    let width = shape.width
    for row in 0..<block.header.rowCount where block.parts.isEmpty || block.parts.contains(where: { $0.contains(row) })
    {
      let tick = block.firstTick.advanced(by: row, of: shape.layout.interval)
      let values = scratch.span.extracting((row * width)..<((row + 1) * width))
      guard try body(id, shape, tick, values) else { return false }
    }
    return true
  }

  /// Decodes a block into the scratch and keeps the newest row that counts as a base.
  private mutating func decode(
    _ block: JournalBlock, _ payload: RawSpan, _ node: Node, _ shape: BlockShape
  ) -> Bool {
    let width = shape.width
    let words = block.header.rowCount * width
    // Moved out for the call, since its span would hold all of `self`.
    var scratch: [Int64] = []
    swap(&scratch, &self.scratch)
    defer { swap(&scratch, &self.scratch) }
    if scratch.count < words { scratch.append(contentsOf: repeatElement(0, count: words - scratch.count)) }
    var base = node.base
    guard base.admits(block, interval: shape.layout.interval) else { return false }
    var target = scratch.mutableSpan
    do throws(BlockError) {
      let count: Int
      switch block.header.anchor {
      case .standalone: count = try decoder.decode(payload, shape: shape, base: nil, into: &target)
      case .based(_, let ticks):
        guard node.row.count == width, node.rowLayout == block.header.layoutNumber else { return false }
        count = try decoder.decode(
          payload, shape: shape, base: node.row.span, ticksSinceBase: Int(ticks), into: &target)
      }
      guard count == block.header.rowCount else { return false }
    } catch {
      return false
    }
    nodes[block.node]?.base = base
    let last = (block.parts.last?.upperBound ?? block.header.rowCount) - 1
    let tick = block.firstTick.advanced(by: last, of: shape.layout.interval).unixMilliseconds
    guard tick > node.rowTick else { return true }
    nodes[block.node]?.rowTick = tick
    nodes[block.node]?.rowLayout = block.header.layoutNumber
    nodes[block.node]?.row = Array(scratch[(last * width)..<((last + 1) * width)])
    return true
  }
}
