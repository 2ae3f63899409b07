import BongsuModel
import BongsuTestKit
import Testing

@testable import BongsuCodec

@Suite("Shapes of chunks")
struct ChunkShapeTests {
  private func layout(_ columns: [MetricID], gpus: Int, node: String) throws -> RowLayout {
    let devices = (0..<gpus).map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\(node)-\($0)", model: "B200") }
    return try RowLayout(
      interval: .second, columns: columns.compactMap { MetricCatalogue.metric($0) }, devices: devices + [.node])
  }

  private func isShared(_ one: ChunkShape, _ other: ChunkShape) -> Bool {
    one.columns.count == other.columns.count
      && zip(one.columns, other.columns).allSatisfy { $0.plain === $1.plain && $0.remainder === $1.remainder }
  }

  @Test("nodes of one kind share all but their layout; other columns or numbers of devices share nothing")
  func sharing() throws {
    let metrics: [MetricID] = [.gpuPower, .gpuEnergy, .nodePower]
    let first = ChunkShape(try layout(metrics, gpus: 8, node: "a"))
    let alike = ChunkShape(try layout(metrics, gpus: 8, node: "b"), like: first)
    #expect(isShared(first, alike))
    #expect(alike.layout.devices[0].key == "GPU-b-0")
    for unlike in [
      try layout(metrics, gpus: 7, node: "a"), try layout([.gpuPower, .gpuEnergy], gpus: 8, node: "a"),
      try layout([.gpuEnergy, .gpuPower, .nodePower], gpus: 8, node: "a"),
    ] {
      let shape = ChunkShape(unlike, like: first)
      #expect(!isShared(first, shape))
      #expect(shape.columns.map(\.count) == ChunkShape(unlike).columns.map(\.count))
    }
  }

  @Test("what a shared shape packs, one of its own packs alike")
  func packing() throws {
    var random = SeededRandom(default: 0x5A9E)
    let metrics: [MetricID] = [.gpuPower, .gpuEnergy, .nodePower]
    let other = ChunkShape(try layout(metrics, gpus: 4, node: "a"))
    let own = try layout(metrics, gpus: 4, node: "b")
    let ticks = (0..<50).map { 1_800_000_000_000 + Int64($0) * 1000 }
    let rows = (0..<50 * own.width).map { _ in Int64.random(in: 0...900_000, using: &random) }
    var encoder = ChunkEncoder()
    for column in own.columns.indices {
      var (shared, single): ([UInt8], [UInt8]) = ([], [])
      let one = try encoder.encode(
        column: column, of: ChunkShape(own, like: other), rows: rows.span, ticks: ticks.span, appendingTo: &shared)
      let two = try encoder.encode(
        column: column, of: ChunkShape(own), rows: rows.span, ticks: ticks.span, appendingTo: &single)
      #expect(one == two && shared == single, "column \(column), seed \(random.seed)")
    }
  }
}
