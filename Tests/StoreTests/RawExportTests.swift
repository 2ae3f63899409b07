import BongsuCodec
import BongsuModel
import BongsuRecordLog
import BongsuStore
import BongsuTestKit
import BongsuWire
import Testing

@Suite("Raw export")
struct RawExportTests {
  private let layout: RowLayout = {
    let devices = (0..<2).map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\($0)", model: "B200") }
    let columns = [MetricID.gpuPower, .gpuUtilization].map { MetricCatalogue.metric($0)! }
    // Known metrics and distinct devices make a valid layout.
    return try! RowLayout(interval: .second, columns: columns, devices: devices)
  }()

  private func tick(_ number: UInt64) -> Tick { Tick(unixMilliseconds: 1_800_000_000_000 + Int64(number) * 1_000) }

  private func values(_ node: Int, _ number: UInt64) -> [Int64] {
    var random = SeededRandom(seed: UInt64(node) &* 1_000_003 &+ number)
    return [
      Int64.random(in: 100_000...1_000_000, using: &random), number % 7 == 0 ? .min : Int64(number),
      Int64.random(in: 0...1_000, using: &random), Int64.random(in: 0...1_000, using: &random),
    ]
  }

  /// A journal as a shard writes it: nodes in turn, live blocks on each other, some rows late and in runs.
  private func fill(_ disk: SimulatedDisk, nodes: Int, rows: UInt64) throws {
    var writer = try LogWriter(
      disk: disk, log: JournalReplay.logName,
      limits: LogLimits(segmentBytes: 6_000, recordBytesMax: 300 << 10, batchBytesMax: 1 << 20), salt: 77)
    let shape = BlockShape(layout)
    var encoder = BlockEncoder()
    func append(_ entry: JournalEntry, payload: [UInt8] = []) throws {
      var bytes: [UInt8] = []
      entry.encode(into: &bytes)
      bytes += payload
      guard writer.stage(bytes, kind: 1) != nil else { throw LogError.recordTooLarge(bytes: bytes.count, limit: 0) }
    }
    for node in 0..<nodes {
      let number = NodeNumber(rawValue: UInt32(node))
      try append(.node(number, NodeID("n\(node)")!))
      try append(.stream(number, StreamID(rawValue: UInt64(node) + 1), tickFloor: nil))
      try append(
        .layout(number, StreamID(rawValue: UInt64(node) + 1), LayoutAnnouncement(number: 4, layout: layout)))
    }
    for number in 1...rows {
      for node in 0..<nodes {
        // Rows 21 to 30 come late, after row 40.
        if (21...30).contains(number) { continue }
        let isKeyframe = number % 10 == 1
        let distance: UInt64 = number == 31 ? 11 : 1
        try append(
          block(node, number, 1, isKeyframe ? nil : distance, isLate: false),
          payload: payload(node, number..<(number + 1), isKeyframe ? nil : number - distance, shape, &encoder))
        if number == 40 {
          var late = block(node, 20, 11, nil, isLate: true)
          if case .block(var entry) = late {
            // Row 20 is known: it does not count again.
            entry.parts = [1..<11]
            late = .block(entry)
          }
          try append(late, payload: payload(node, 20..<31, nil, shape, &encoder))
        }
      }
      try writer.commit()
    }
  }

  private func block(_ node: Int, _ first: UInt64, _ rows: Int, _ distance: UInt64?, isLate: Bool) -> JournalEntry {
    let anchor: BlockHeader.Anchor =
      distance.map { .based(sequenceDistance: $0, ticks: $0) }
      ?? .standalone(tick: tick(first), boottimeMilliseconds: 5, boot: nil)
    let header = BlockHeader(
      layoutNumber: 4, firstSequence: first, rowCount: rows, anchor: anchor, isCorrected: false, isLate: isLate)
    return .block(JournalBlock(node: NodeNumber(rawValue: UInt32(node)), header: header, firstTick: tick(first)))
  }

  private func payload(
    _ node: Int, _ rows: Range<UInt64>, _ base: UInt64?, _ shape: BlockShape, _ encoder: inout BlockEncoder
  ) throws -> [UInt8] {
    var bytes: [UInt8] = []
    let words = rows.flatMap { values(node, $0) }
    if let base {
      let baseRow = values(node, base)
      try encoder.encode(
        rows: words.span, shape: shape, base: baseRow.span, ticksSinceBase: Int(rows.lowerBound - base),
        appendingTo: &bytes)
    } else {
      try encoder.encode(rows: words.span, shape: shape, base: nil, appendingTo: &bytes)
    }
    return bytes
  }

  /// All rows found, each checked against what was written.
  private func read(
    _ disk: SimulatedDisk, _ filter: RawFilter
  ) throws -> (found: Set<String>, losses: RawLosses) {
    var found: Set<String> = []
    let losses = try RawExport(journals: [disk]).forEachRow(filter) { node, layout, tick, row in
      let number = UInt64((tick.unixMilliseconds - 1_800_000_000_000) / 1_000)
      let index = Int(node.name.dropFirst()) ?? -1
      #expect(row.indices.map { row[$0] } == values(index, number))
      #expect(layout == self.layout)
      #expect(found.insert("\(index) \(number)").inserted, "row \(number) of node \(index) came twice")
      return true
    }
    return (found, losses)
  }

  @Test("every stored row comes once with its values, live and late")
  func everyRowOnce() throws {
    let disk = SimulatedDisk(seed: 1)
    try fill(disk, nodes: 3, rows: 60)
    let (found, losses) = try read(disk, RawFilter(ticks: tick(0)...tick(100)))
    #expect(found.count == 180)
    #expect(losses == RawLosses())
  }

  @Test("time and nodes narrow what comes, and the reader may stop")
  func filters() throws {
    let disk = SimulatedDisk(seed: 1)
    try fill(disk, nodes: 3, rows: 60)
    let (found, _) = try read(disk, RawFilter(ticks: tick(25)...tick(34)) { $0.name == "n2" })
    #expect(found == Set((25...34).map { "2 \($0)" }))
    var count = 0
    _ = try RawExport(journals: [disk, disk]).forEachRow(RawFilter(ticks: tick(0)...tick(100))) { _, _, _, _ in
      count += 1
      return count < 5
    }
    #expect(count == 5)
  }

  @Test("series are sorted by node, device and tick, without absent readings")
  func series() throws {
    let disk = SimulatedDisk(seed: 1)
    try fill(disk, nodes: 2, rows: 60)
    let export = RawExport(journals: [disk])
    let filter = RawFilter(ticks: tick(1)...tick(60))
    let (series, _) = try export.samples(of: .gpuPower, in: filter)
    #expect(series.map { "\($0.node) \($0.device.key)" } == ["n0 GPU-0", "n0 GPU-1", "n1 GPU-0", "n1 GPU-1"])
    #expect(series[0].samples.map(\.reading) == (1...60).map { values(0, $0)[0] })
    #expect(series[1].samples.map(\.tick) == (1...60).filter { $0 % 7 != 0 }.map { tick($0) })
    #expect(throws: StoreError.self) { try export.samples(of: .gpuPower, in: filter, maximum: 50) }
    #expect(try export.samples(of: .nodePower, in: filter).series.isEmpty)
  }

  @Test("damage costs the rows up to the node's next keyframe, is named, and gives no wrong value", arguments: 0..<200)
  func damage(trial: UInt64) throws {
    var random = SeededRandom(seed: trial)
    let disk = SimulatedDisk(seed: trial)
    try fill(disk, nodes: 3, rows: 60)
    let name = try #require(try disk.names().randomElement(using: &random))
    disk.flipBit(
      of: name, byte: Int.random(in: 0..<(disk.byteCount(named: name) ?? 1), using: &random), bit: Int(trial % 8))
    let (found, losses) = try read(disk, RawFilter(ticks: tick(0)...tick(100)))
    // A lost late block costs ten rows and a lost live row those that build on it; a lost node or layout entry all of it.
    #expect(found.count >= 120, "trial \(trial): \(found.count)")
    let missing = 180 - found.count
    #expect(missing == 0 || !losses.damage.isEmpty, "trial \(trial)")
    #expect(
      missing <= losses.undecodedRows + 11, "trial \(trial): \(missing) missing, \(losses.undecodedRows) undecoded")
  }

  @Test(
    "a fuzz run of BONGSU_FUZZ_INPUTS inputs",
    .enabled(if: fuzzInputs != nil, "set BONGSU_FUZZ_INPUTS to a count of inputs"))
  func longFuzz() throws {
    let whole = SimulatedDisk(seed: 5)
    try fill(whole, nodes: 1, rows: 12)
    let name = try #require(try whole.names().first)
    let good = whole.bytes(named: name)
    for trial in 0..<UInt64(fuzzInputs ?? 0) {
      var random = SeededRandom(seed: 400_000_000 + trial)
      var bytes = good
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let at = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.removeSubrange(at..<min(bytes.count, at + 20))
        default: bytes.insert(contentsOf: bytes[at...].prefix(40), at: at)
        }
        if bytes.isEmpty { break }
      }
      let disk = SimulatedDisk(seed: trial)
      disk.plant(name, bytes)
      do { _ = try read(disk, RawFilter(ticks: tick(0)...tick(100))) } catch LogError.newerFormat {}
    }
  }

  @Test("arbitrary entries with good checksums neither crash the reader nor give a row twice", arguments: 0..<40)
  func entryFuzz(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let good = SimulatedDisk(seed: seed)
    try fill(good, nodes: 1, rows: 12)
    let disk = SimulatedDisk(seed: seed)
    var writer = try LogWriter(
      disk: disk, log: JournalReplay.logName,
      limits: LogLimits(segmentBytes: 6_000, recordBytesMax: 300 << 10, batchBytesMax: 1 << 20), salt: 78)
    var reader = try LogReader(
      disk: good, log: JournalReplay.logName,
      limits: LogLimits(segmentBytes: 6_000, recordBytesMax: 300 << 10, batchBytesMax: 1 << 20))
    while case .record(let record)? = try reader.next() {
      // SAFETY: the buffer is valid for the closure and copied.
      var bytes = reader.withPayload { payload in unsafe payload.withUnsafeBytes { unsafe Array($0) } }
      if Int.random(in: 0..<3, using: &random) == 0, !bytes.isEmpty {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      _ = writer.stage(bytes, kind: record.kind)
    }
    try writer.commit()
    let filter = RawFilter(ticks: Limits.tickRange)
    _ = try RawExport(journals: [disk]).forEachRow(filter) { _, layout, _, row in
      #expect(row.count == layout.width)
      return true
    }
  }
}
