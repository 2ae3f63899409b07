internal import BongsuCodec
internal import BongsuModel
internal import BongsuWire

/// Rebuilds the rows of one node from its entries of one journal, taken in their order from the start of a segment on.
///
/// Entries may be left out as long as every block that a taken one builds on is there.
struct NodeRowDecoder {
  private var shapes: [(number: Int, shape: BlockShape)] = []
  /// The newest row, what is known of it, and its layout: what the next based block may build on.
  private var row: [Int64] = []
  private var rowTick = Int64.min
  private var rowLayout = -1
  private var base = JournalBase()

  /// What all nodes' decoders share: the unpacked rows of the block taken last.
  struct Unpacked: ~Copyable {
    fileprivate var decoder = BlockDecoder()
    fileprivate var words: [Int64] = []
    /// Kinds of layouts seen last, for what is alike in them.
    fileprivate var shape: BlockShape?
  }

  /// The shape of layout number `number`; `nil` when it was not announced.
  func shape(_ number: Int) -> BlockShape? { shapes.first { $0.number == number }?.shape }

  mutating func announce(_ announcement: LayoutAnnouncement, _ unpacked: inout Unpacked) {
    let shape = BlockShape(announcement.layout, like: unpacked.shape)
    unpacked.shape = shape
    shapes.removeAll { $0.number == announcement.number }
    shapes.append((announcement.number, shape))
    // A number with a new meaning makes the row of the old one worthless as a base.
    if rowLayout == announcement.number { base.streamChanged() }
  }

  mutating func streamChanged() { base.streamChanged() }

  /// Unpacks a block; `false` when that cannot be done, and nothing is built on it then.
  mutating func unpack(
    _ block: JournalBlock, _ payload: RawSpan, _ shape: BlockShape, _ unpacked: inout Unpacked
  ) -> Bool {
    let width = shape.width
    let words = block.header.rowCount * width
    if unpacked.words.count < words {
      unpacked.words.append(contentsOf: repeatElement(0, count: words - unpacked.words.count))
    }
    var next = base
    guard next.admits(block, interval: shape.layout.interval) else { return false }
    // Moved out for the call, since its span would hold all of `unpacked`.
    var into: [Int64] = []
    swap(&into, &unpacked.words)
    defer { swap(&into, &unpacked.words) }
    do throws(BlockError) {
      var target = into.mutableSpan
      let count: Int
      switch block.header.anchor {
      case .standalone:
        count = try unpacked.decoder.decode(payload, shape: shape, base: nil, into: &target)
      case .based(_, let ticks):
        guard row.count == width, rowLayout == block.header.layoutNumber else { return false }
        count = try unpacked.decoder.decode(
          payload, shape: shape, base: row.span, ticksSinceBase: Int(ticks), into: &target)
      }
      guard count == block.header.rowCount else { return false }
    } catch {
      return false
    }
    base = next
    let last = (block.parts.last?.upperBound ?? block.header.rowCount) - 1
    let tick = block.firstTick.advanced(by: last, of: shape.layout.interval).unixMilliseconds
    guard tick > rowTick else { return true }
    rowTick = tick
    rowLayout = block.header.layoutNumber
    row.removeAll(keepingCapacity: true)
    row.append(contentsOf: into[(last * width)..<((last + 1) * width)])
    return true
  }
}

extension NodeRowDecoder.Unpacked {
  /// Lends row number `row` of the block that was unpacked last, of `width` words.
  func withRow<Answer, Failure: Error>(
    _ row: Int, _ width: Int, _ body: (Span<Int64>) throws(Failure) -> Answer
  ) throws(Failure) -> Answer {
    try body(words.span.extracting((row * width)..<((row + 1) * width)))
  }
}
