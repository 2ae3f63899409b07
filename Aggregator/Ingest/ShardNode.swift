internal import BongsuCodec
internal import BongsuModel
internal import BongsuRollup
internal import BongsuWire

/// What a shard keeps of one node beside its session: layouts, the live row, its place in the rollup.
struct ShardNode {
  let id: NodeID
  let number: NodeNumber
  /// Layouts announced in the present stream, and shapes made from them.
  var layouts: [Layout] = []
  /// Newest row by tick, in the layout number `liveLayout`; empty before the first.
  var row: [Int64] = []
  var liveTick = Int64.min
  var liveLayout = -1
  /// The rows before the newest, oldest first. No row is missing between the first of them and the newest.
  private(set) var earlier: [EarlierRow] = []
  /// Place in the rollup for layout `memberLayout`.
  var member: MemberNumber?
  var memberLayout = -1
  /// The journal segment in which its name was written last.
  var nameSegment: UInt32 = 0
  /// The row that a reader of segment `journalSegment` can build the next block on.
  var journalBase = JournalBase()
  var journalSegment: UInt32 = 0
  var agentVersion = ""
  var skewMilliseconds: Int64 = 0
  var isConnected = false
  var isKeyShared = false
  /// Rows applied since the start.
  var rows: UInt64 = 0

  /// A row that is not the newest any more.
  struct EarlierRow {
    var tick: Int64
    var layout: Int
    var values: [Int64]
  }

  struct Layout {
    let announcement: LayoutAnnouncement
    let stream: StreamID
    let shape: BlockShape
    /// Told to no other layout of the shard: what is derived from a layout holds while this stays the same.
    let version: UInt32
    /// The journal segment in which it was written last.
    var journalSegment: UInt32
  }

  init(id: NodeID, number: NodeNumber) {
    self.id = id
    self.number = number
  }

  /// Position of layout number `number` among ``layouts``.
  func layoutIndex(_ number: Int) -> Int? {
    layouts.firstIndex { $0.announcement.number == number }
  }

  // MARK: The live row

  /// Makes a row the newest. The one before stays for questions about the ticks between.
  mutating func keep(_ values: ArraySlice<Int64>, at tick: Int64, layout: Int) {
    if liveLayout >= 0, !row.isEmpty {
      if earlier.count < IngestLimits.earlierRows {
        earlier.append(EarlierRow(tick: liveTick, layout: liveLayout, values: row))
        row = []
        row.reserveCapacity(values.count)
      } else {
        // The oldest gives its memory.
        swap(&earlier[0].values, &row)
        earlier[0].tick = liveTick
        earlier[0].layout = liveLayout
        for place in 1..<earlier.count { earlier.swapAt(place - 1, place) }
      }
    }
    liveTick = tick
    liveLayout = layout
    row.removeAll(keepingCapacity: true)
    row.append(contentsOf: values)
  }

  /// A row at `tick` was received that is not among the kept ones: those before it no longer lead up to the newest.
  mutating func miss(_ tick: Int64) {
    if let first = earlier.first, tick > first.tick { forgetEarlier() }
  }

  /// Keeps the newest row only.
  mutating func forgetEarlier() { earlier.removeAll(keepingCapacity: true) }
}
