import BongsuModel
import BongsuTestKit
import Testing

@testable import BongsuWire

@Suite("Journal entries")
struct JournalEntryTests {
  private static func entry(_ bytes: [UInt8], _ offset: inout Int) throws(FrameError) -> JournalEntry {
    try read(bytes) { record throws(FrameError) in try JournalEntry(decoding: record, payloadOffset: &offset) }
  }

  @Test("every kind of entry reads back as it was written, and a cut one is refused")
  func roundTrips() throws {
    var samples = FrameSamples(seed: SeededRandom(default: 0x10).seed)
    let node = NodeNumber(rawValue: 65_000)
    for round in 0..<100 {
      let block = samples.block()
      let half = block.rowCount / 2
      let entries: [JournalEntry] = [
        .node(node, NodeID("r01-n001")!),
        .layout(node, StreamID(rawValue: 9), LayoutAnnouncement(number: 2, layout: FrameSamples.layout)),
        .stream(node, StreamID(rawValue: 1 << 63), tickFloor: samples.tick()),
        .stream(node, StreamID(rawValue: 0), tickFloor: nil),
        .run(node, Incarnation(rawValue: 77)),
        .block(JournalBlock(node: node, header: block, firstTick: samples.tick())),
        .block(
          JournalBlock(node: node, header: block, firstTick: samples.tick(), parts: half > 0 ? [0..<half] : [])),
        .gap(JournalGap(node: node, sequences: 5...5, reason: .spoolOverflow, ticks: nil)),
        .gap(
          JournalGap(
            node: node, sequences: nil, reason: .newStream,
            ticks: Tick(unixMilliseconds: 1000)...Tick(unixMilliseconds: 5000))),
      ]
      for entry in entries {
        var bytes: [UInt8] = []
        entry.encode(into: &bytes)
        var offset = 0
        #expect(try Self.entry(bytes, &offset) == entry)
        #expect(offset == bytes.count)
        for length in 0..<(round < 2 ? bytes.count : 0) {
          let cut = Array(bytes.prefix(length))
          #expect(throws: FrameError.self) { try Self.entry(cut, &offset) }
        }
      }
    }
  }
}
