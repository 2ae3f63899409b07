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
}
