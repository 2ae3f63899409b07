import BongsuCodec
import BongsuFleet
import BongsuModel
import BongsuRecordLog
import BongsuRollup
import BongsuStore
import BongsuWire
import Foundation

/// Writes a data directory as an aggregator leaves it after some hours: rows go through a journal into chunks every five
/// minutes, minutes are formed as they end.
///
/// The journal is emptied at last, as if all of it had been packed, so that an aggregator starts from what it keeps.
struct PastDirectory: ~Copyable {
  private let rows: PastRows
  private let keeper: DataKeeper
  private let tiers: TierKeeper
  private let journal: String
  private var writer: LogWriter
  private var encoder = BlockEncoder()
  private var shapes: [BlockShape] = []
  /// The number of each node's next row.
  private var sequence: UInt64 = 1

  private static let layoutNumber = 1
  private static let packedMinutes: Int64 = 5

  init(_ tree: FleetTree, nodes: Int, directory: String) throws {
    let journal = "\(directory)/journal/shard-0"
    try FileManager.default.createDirectory(atPath: journal, withIntermediateDirectories: true)
    try DataFormat.prepare(directory, shards: 1, say: say)
    var settings = DataKeeper.Settings(journalBytesMax: 64 << 20)
    settings.packsInBackground = false
    let keeper = try DataKeeper(directory: directory, shards: 1, settings: settings, say: say)
    let disk = try PosixDisk(path: journal)
    writer = try LogWriter(
      disk: disk, log: JournalReplay.logName,
      limits: LogLimits(segmentBytes: 64 << 20, recordBytesMax: 300 << 10, batchBytesMax: 4 << 20), salt: 1)
    self.journal = journal
    self.keeper = keeper
    rows = PastRows(tree, nodes: nodes)
    // The same walk once more is quicker than what was stored.
    let again = PastRows(tree, nodes: nodes)
    tiers = TierKeeper(store: keeper.tiers, plan: RollupPlan(tree)) { try again.visit($0, $1) }
  }

  /// Writes the minutes that end at `end`, a whole minute.
  mutating func write(minutes: Int64, through end: Tick) throws {
    shapes = rows.nodes.map { BlockShape($0.layout) }
    for minute in 1...minutes {
      let last = end.unixMilliseconds - (minutes - minute) * 60_000
      if minute % Self.packedMinutes == 1 { try beginSegment() }
      try append(Tick(unixMilliseconds: last - 59_999)...Tick(unixMilliseconds: last))
      if minute % Self.packedMinutes == 0 || minute == minutes { try pack(Tick(unixMilliseconds: last)) }
    }
    // Packs hours that are over.
    while try tiers.work(closedThrough: end, now: end) > 0 {}
    var unpacked = Int64.max
    while case let left = try keeper.tiers.usage().other, left < unpacked {
      unpacked = left
      try tiers.work(closedThrough: end, now: end)
    }
    for name in try FileManager.default.contentsOfDirectory(atPath: journal) {
      try FileManager.default.removeItem(atPath: "\(journal)/\(name)")
    }
  }

  /// Every segment says whom and what it is about.
  private mutating func beginSegment() throws {
    writer.requestSegment()
    for (number, node) in rows.nodes.enumerated() {
      try stage(.node(NodeNumber(rawValue: UInt32(number)), node.id))
      let announcement = LayoutAnnouncement(number: Self.layoutNumber, layout: node.layout)
      try stage(.layout(NodeNumber(rawValue: UInt32(number)), StreamID(rawValue: 1), announcement))
    }
  }

  private mutating func append(_ minute: ClosedRange<Tick>) throws {
    let selection = RawSelection(ticks: minute)
    var runs: [RawRun] = []
    _ = try rows.visit(selection) { run in
      runs.append(run)
      return true
    }
    for (number, run) in runs.enumerated() {
      let count = run.ticks.count
      let width = shapes[number].width
      var rows = [Int64](repeating: 0, count: count * width)
      var place = 0
      for column in run.columns {
        for device in 0..<run.layout.deviceCount(of: column) {
          for (row, value) in run.series(column: column, device: device).enumerated() {
            rows[row * width + place] = value
          }
          place += 1
        }
      }
      var payload: [UInt8] = []
      try encoder.encode(rows: rows.span, shape: shapes[number], base: nil, appendingTo: &payload)
      let header = BlockHeader(
        layoutNumber: Self.layoutNumber, firstSequence: sequence, rowCount: count,
        anchor: .standalone(tick: run.ticks[0], boottimeMilliseconds: 1, boot: nil), isCorrected: false, isLate: false)
      let block = JournalBlock(node: NodeNumber(rawValue: UInt32(number)), header: header, firstTick: run.ticks[0])
      try stage(.block(block), payload)
    }
    sequence += UInt64(runs.first?.ticks.count ?? 0)
    try writer.commit()
  }

  private mutating func stage(_ entry: JournalEntry, _ payload: [UInt8] = []) throws {
    var bytes: [UInt8] = []
    entry.encode(into: &bytes)
    bytes += payload
    if writer.stage(bytes, kind: 1) != nil { return }
    try writer.commit()
    guard writer.stage(bytes, kind: 1) != nil else { preconditionFailure("a record of \(bytes.count) bytes") }
  }

  private mutating func pack(_ last: Tick) throws {
    let committed = [writer.durableNumber]
    try keeper.follow(through: committed)
    keeper.packRaw(through: committed)
    while try tiers.work(closedThrough: last, now: last) > 0 {}
    _ = try writer.trim(below: committed[0])
  }
}

private func say(_ line: String) { FileHandle.standardError.write(Data("\(line)\n".utf8)) }
