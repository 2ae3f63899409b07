import BongsuCodec
import BongsuModel
import BongsuRecordLog
import BongsuSpool
import BongsuWire

/// libFuzzer's entry: damages the files of a spool or of a journal and reads them. The first byte says which; then either
/// edits (position, bytes) on files as the writers leave them, or whole files. Readers must yield records or damage, never
/// trap and never loop; and a writer must be able to go on behind whatever was read.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard count >= 2, let start = unsafe start else { return 0 }
  var input: [UInt8] = []
  // SAFETY: the fuzzer hands over `count` readable bytes that outlive the call.
  for index in 0..<count { input.append(unsafe start[index]) }
  let isSpool = input[0] & 1 == 0
  let disk = SimulatedDisk(seed: 1)
  let base = isSpool ? spoolFiles : journalFiles
  if input[0] & 2 == 0 {
    for (name, bytes) in base { disk.plant(name, edited(bytes, input[1...])) }
  } else {
    let cut = 1 + Int(input[1]) * (count - 2) / 255
    let parts = [Array(input[2..<max(2, cut)]), Array(input[max(2, cut)...])]
    for (index, (name, _)) in base.enumerated() { disk.plant(name, parts[index % 2]) }
  }
  if isSpool { readSpool(disk) } else { readJournal(disk) }
  return 0
}

private func edited(_ bytes: [UInt8], _ edits: ArraySlice<UInt8>) -> [UInt8] {
  var bytes = bytes
  var edits = edits
  while edits.count >= 4, !bytes.isEmpty {
    let at = (Int(edits.removeFirst()) << 8 | Int(edits.removeFirst())) % bytes.count
    let kind = edits.removeFirst()
    let value = edits.removeFirst()
    switch kind % 4 {
    case 0: bytes[at] = value
    case 1: bytes[at] ^= value
    case 2: bytes.removeSubrange(at..<min(bytes.count, at + Int(value)))
    default: bytes.insert(contentsOf: bytes[at...].prefix(Int(value)), at: at)
    }
  }
  return bytes
}

// MARK: Readers

private func readSpool(_ disk: SimulatedDisk) {
  var spool = Spool(disk: disk, limits: spoolLimits, salt: 7)
  _ = spool.takeNotices()
  _ = (spool.state, spool.layouts, spool.lastTick)
  var decoder = BlockDecoder()
  var sequence: UInt64 = 1
  var runs = 0
  while let run = spool.spooledRun(endingAtOrAfter: sequence) {
    guard run.lastSequence >= sequence, run.lastSequence < .max else { break }
    sequence = run.lastSequence + 1
    runs += 1
    guard runs <= 10_000 else { fatalError("the spool yields runs for ever") }
    var payload: [UInt8] = []
    guard spool.readSpooled(run, appendingTo: &payload) else { continue }
    var rows = [Int64](repeating: 0, count: min(run.rowCount, 1000) * layout.width)
    var target = rows.mutableSpan
    let bytes = payload.span
    // SAFETY: bytes have no padding.
    _ = try? unsafe decoder.decode(bytes.bytes, shape: BlockShape(layout), base: nil, into: &target)
  }
  var losses: [SpoolLoss] = []
  _ = spool.spill(run(first: 1 << 30), rows: [Int64](repeating: 5, count: layout.width), losses: &losses)
}

private func readJournal(_ disk: SimulatedDisk) {
  var last: UInt64 = 0
  if var reader = try? LogReader(disk: disk, log: "journal", limits: journalLimits) {
    while let event = try? reader.next() {
      guard case .record(let record) = event else { continue }
      guard record.number > last else { fatalError("record \(record.number) comes after \(last)") }
      last = record.number
      reader.withPayload { payload in
        var offset = 0
        _ = try? JournalEntry(decoding: payload, payloadOffset: &offset)
      }
    }
  }
  guard var writer = try? LogWriter(disk: disk, log: "journal", limits: journalLimits, salt: 9) else { return }
  if let number = writer.stage([1, 2, 3], kind: 1), number <= last {
    fatalError("number \(number) is given again after \(last)")
  }
  _ = try? writer.commit()
}

// MARK: What the writers leave

private let spoolLimits = SpoolLimits(diskBytesMax: 1 << 20)
private let journalLimits = LogLimits(segmentBytes: 2000, recordBytesMax: 600, batchBytesMax: 1200)

private let layout: RowLayout = {
  let devices = [Device(scope: .gpu, index: 0, key: "GPU-0", model: "x")]
  guard
    let layout = try? RowLayout(
      interval: .second, columns: Array(MetricCatalogue.all.filter { $0.scope == .gpu }.prefix(3)), devices: devices)
  else { fatalError("the layout is valid") }
  return layout
}()

private func run(first: UInt64) -> SpooledRun {
  SpooledRun(
    firstSequence: first, rowCount: 1, layoutNumber: 0,
    first: TickStamp(
      tick: Tick(unixMilliseconds: 1_800_000_000_000 + Int64(first % 1000) * 1000), boottimeMilliseconds: 5000,
      isProvisional: false, isCorrected: false), boot: BootID(rawValue: 1))
}

private let spoolFiles: [(String, [UInt8])] = {
  let disk = SimulatedDisk(seed: 1)
  var spool = Spool(disk: disk, limits: spoolLimits, salt: 7)
  _ = spool.store(AgentState(stream: StreamID(rawValue: 3), leaseEnd: 65_537))
  _ = spool.store(LayoutAnnouncement(number: 0, layout: layout))
  var losses: [SpoolLoss] = []
  for number in UInt64(1)...40 {
    _ = spool.spill(
      run(first: number), rows: (0..<layout.width).map { Int64($0) * 1000 + Int64(number) }, losses: &losses)
  }
  return files(disk)
}()

private let journalFiles: [(String, [UInt8])] = {
  let disk = SimulatedDisk(seed: 1)
  guard var writer = try? LogWriter(disk: disk, log: "journal", limits: journalLimits, salt: 7) else {
    fatalError("an empty disk takes a log")
  }
  for number in UInt64(1)...60 {
    var bytes: [UInt8] = []
    let node = NodeNumber(rawValue: 1)
    if number == 1 {
      JournalEntry.node(node, NodeID("n1")!).encode(into: &bytes)
    } else {
      JournalEntry.gap(
        JournalGap(node: node, sequences: number...number, reason: .agentRestart, ticks: nil)
      ).encode(into: &bytes)
    }
    _ = writer.stage(bytes, kind: 1)
    try? writer.commit()
  }
  return files(disk)
}()

private func files(_ disk: SimulatedDisk) -> [(String, [UInt8])] {
  let names = (try? disk.names()) ?? []
  return names.sorted().map { ($0, disk.bytes(named: $0)) }
}
