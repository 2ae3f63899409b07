import BongsuFleet
import BongsuModel
import BongsuStore
import BongsuTestKit
import BongsuWire
import Foundation
import Testing

@testable import BongsuIngest

@Suite("hostile frames at the ingest core", .serialized)
struct HostileFrameTests {
  private static let block = TestFleet.blockByte

  private static func hello(_ change: (inout [UInt8]) -> Void) -> [UInt8] {
    var bytes: [UInt8] = []
    Hello(
      node: TestFleet.nodes[0], stream: StreamID(rawValue: 1), incarnation: Incarnation(rawValue: 1),
      boot: BootID(rawValue: 1), anchor: ClockReading(unixMilliseconds: 0, boottimeMilliseconds: 0),
      firstSequenceOfRun: 1, nextSequence: 1, agentVersion: "x",
      layouts: [LayoutAnnouncement(number: 1, layout: TestFleet.layout)]
    ).encode(into: &bytes)
    change(&bytes)
    return bytes
  }

  private static func ack() -> [UInt8] {
    var bytes: [UInt8] = []
    Ack(creditBlocks: 64, takesOldestOnly: false, durable: SequenceSet()).encode(into: &bytes)
    return bytes
  }

  private static func heartbeat() -> [UInt8] {
    var bytes: [UInt8] = []
    Heartbeat(isReply: false, unixMilliseconds: 0, boottimeMilliseconds: 0).encode(into: &bytes)
    return bytes
  }

  /// A frame, and the reason under which it must be counted.
  struct Case: CustomTestStringConvertible, Sendable {
    let name: String
    let frame: [UInt8]
    let reason: String

    init(_ name: String, _ frame: [UInt8], _ reason: String) {
      self.name = name
      self.frame = frame
      self.reason = reason
    }

    var testDescription: String { name }
  }

  static let cases = [
    Case("no byte", [], "empty_frame"),
    Case("another version", [0xFF, 0, 0], "other_version"),
    Case("an unknown type", [TestFleet.blockByte | 0x1F, 0], "unknown_type"),
    Case("a frame of the other side", ack(), "unexpected_type"),
    Case("half a block header", [block, 0], "truncated_frame"),
    Case("an endless number", [block, 0] + [UInt8](repeating: 0xFF, count: 12), "impossible_value"),
    Case("unknown flags", [block, 0xE0, 1, 1, 0, 0], "impossible_value"),
    Case("a byte behind the end", heartbeat() + [0], "trailing_bytes"),
    Case(
      "a name that is no text",
      hello { bytes in
        let at = bytes.firstIndex(of: UInt8(ascii: "e")) ?? 0
        bytes[at] = 0xFF
      }, "malformed_text"
    ),
  ]

  @Test("each is refused, counted by its reason, and disturbs neither its own session nor another's", arguments: cases)
  func refused(_ hostile: Case) throws {
    let (name, frame, reason) = (hostile.name, hostile.frame, hostile.reason)
    let folder = try TemporaryDirectory()
    let engine = try TestEngine(folder.path)
    let start = Int64(Date().timeIntervalSince1970) * 1000 - 60_000
    let villain = try HandAgent(TestFleet.nodes[0], engine.endpoint)
    let bystander = try HandAgent(TestFleet.nodes[1], engine.endpoint)
    #expect(try villain.greet() && bystander.greet())
    for second in 0..<20 {
      try bystander.send(bystander.live(start + 1000 * Int64(second)))
      try villain.send(frame)
      try villain.send(villain.live(start + 1000 * Int64(second)))
    }
    #expect(try bystander.waitUntilDurable(), "the other node is disturbed by \(name)")
    #expect(try villain.waitUntilDurable(), "the node's own rows are disturbed by \(name)")
    let refused = engine.engine.counters.refusedByReason
    #expect(refused.contains { $0.reason == reason && $0.count == 20 }, "\(name): \(refused)")
    #expect(bystander.rejects.isEmpty && bystander.refuse == nil)
    engine.stop()
    #expect(try StoredRows(folder.path).count(bystander.node) == 20)
  }

  @Test("random bytes never end the core, and never become rows")
  func randomBytes() throws {
    let folder = try TemporaryDirectory()
    let engine = try TestEngine(folder.path)
    var random = SeededRandom(default: 20_261_121)
    let start = Int64(Date().timeIntervalSince1970) * 1000 - 60_000
    let villain = try HandAgent(TestFleet.nodes[0], engine.endpoint)
    let bystander = try HandAgent(TestFleet.nodes[1], engine.endpoint)
    #expect(try villain.greet() && bystander.greet())
    for second in 0..<20 {
      for _ in 0..<50 {
        let count = Int.random(in: 0..<60, using: &random)
        var frame = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
        // Half of them get as far as a frame's own decoder.
        if Bool.random(using: &random), !frame.isEmpty { frame[0] = 1 << 5 | UInt8.random(in: 1...9, using: &random) }
        try villain.send(frame)
      }
      try bystander.send(bystander.live(start + 1000 * Int64(second)))
      #expect(try bystander.waitUntilDurable(), "seed \(random.seed)")
    }
    engine.stop()
    let stored = try StoredRows(folder.path)
    #expect(stored.count(bystander.node) == 20 && stored.losses == .init(), "seed \(random.seed): \(stored.losses)")
  }
}
