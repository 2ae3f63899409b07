internal import BongsuCodec
public import BongsuModel
internal import BongsuWire

/// What a question to a shard may look at, on the shard's thread: the live table. Valid during the question only.
public struct ShardView {
  private let shard: Shard

  init(_ shard: Shard) {
    self.shard = shard
  }

  /// Calls `body` with every node of the shard.
  public func forEachNode(_ body: (LiveNode) -> Void) {
    shard.visitNodes { node in body(LiveNode(node)) }
  }

  /// Calls `body` with the node called `id`; `nil` when this shard does not know it.
  public func node<Result>(_ id: NodeID, _ body: (LiveNode) -> Result) -> Result? {
    shard.withNode(id) { node in body(LiveNode(node)) }
  }

  /// How many nodes the shard knows. Their numbers begin at 0 and stay as long as the shard runs.
  public var nodeCount: Int { shard.nodeCount }

  /// The newest row of node number `number`; `nil` before the first, and while a changed layout has no row yet.
  ///
  /// Must not outlive the question: the shard would have to copy what it writes next.
  ///
  /// - Parameter through: the newest one up to this tick is wanted. The few rows before the newest are kept; where none
  ///   of them will do, the newest of all is given.
  public func row(_ number: Int, through: Tick? = nil) -> LiveRow? {
    shard.withNode(number: number) { node in
      guard let through, node.liveTick > through.unixMilliseconds else { return LiveRow(node) }
      return LiveRow(node, through: through.unixMilliseconds) ?? LiveRow(node)
    }
  }

  /// Records received and not on disk yet.
  public var pendingRecords: UInt64 { shard.pendingRecords }
}

/// A row of a node, the newest or one of the few before, for questions that read many.
public struct LiveRow {
  public let id: NodeID
  /// Changes whenever the layout does; above zero.
  public let layoutVersion: UInt32
  public let layout: RowLayout
  public let tick: Tick
  /// Values as `SampleValue.bits`, in the order of the layout.
  public let values: [Int64]

  init?(_ node: borrowing ShardNode) {
    guard node.liveTick != .min, let index = node.layoutIndex(node.liveLayout) else { return nil }
    let layout = node.layouts[index]
    guard node.row.count == layout.shape.width else { return nil }
    id = node.id
    layoutVersion = layout.version
    self.layout = layout.shape.layout
    tick = Tick(unixMilliseconds: node.liveTick)
    values = node.row
  }

  /// One of the rows before the newest.
  init?(_ node: borrowing ShardNode, through tick: Int64) {
    guard let place = node.earlier.lastIndex(where: { $0.tick <= tick }),
      let index = node.layoutIndex(node.earlier[place].layout)
    else { return nil }
    let layout = node.layouts[index]
    guard node.earlier[place].values.count == layout.shape.width else { return nil }
    id = node.id
    layoutVersion = layout.version
    self.layout = layout.shape.layout
    self.tick = Tick(unixMilliseconds: node.earlier[place].tick)
    values = node.earlier[place].values
  }
}

/// One node of the live table: its newest row.
public struct LiveNode {
  public let id: NodeID
  public let agentVersion: String
  public let isConnected: Bool
  /// Whether two machines were seen to use its key since the start, or since the key was replaced.
  public let isKeyShared: Bool
  /// The node's wall clock less the aggregator's, at the last comparison.
  public let skewMilliseconds: Int64
  /// The shape of the row; `nil` before the first, and while a changed layout has no row yet.
  public let layout: RowLayout?
  /// Tick of the row; `nil` before the first.
  public let tick: Tick?
  /// The row, values as `SampleValue.bits`.
  public let row: [Int64]
  /// Rows taken since the aggregator's start.
  public let rows: UInt64

  init(_ node: borrowing ShardNode) {
    id = node.id
    agentVersion = node.agentVersion
    isConnected = node.isConnected
    isKeyShared = node.isKeyShared
    skewMilliseconds = node.skewMilliseconds
    rows = node.rows
    tick = node.liveTick == .min ? nil : Tick(unixMilliseconds: node.liveTick)
    let layout = node.layoutIndex(node.liveLayout).map { node.layouts[$0].shape.layout }
    self.layout = layout
    row = layout == nil ? [] : node.row
  }

  /// The newest value of column number `column` for device number `device` of its scope.
  public func value(column: Int, device: Int) -> SampleValue {
    guard let layout else { return .absent }
    return SampleValue(bits: row[layout.offset(of: column) + device])
  }
}
