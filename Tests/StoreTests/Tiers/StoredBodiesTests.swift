import BongsuModel
import BongsuRollup
import BongsuTestKit
import Testing

@testable import BongsuStore

@Suite("Bodies of stored rollups")
struct StoredBodiesTests {
  private static func tile(_ random: inout SeededRandom, rows: Int, width: Int) -> TierTile {
    var tile = TierTile(empty: (0..<width).map { $0 % 3 == 0 ? .max : 0 })
    var end = Int64.random(in: 0...1_800_000_000_000, using: &random)
    // Columns that stay, that walk, that jump, and that are empty.
    var row = (0..<width).map { _ in Int64.random(in: -1_000_000...1_000_000, using: &random) }
    for _ in 0..<rows {
      end += Int64.random(in: 1...10_000, using: &random)
      for word in row.indices {
        switch word % 4 {
        case 1: row[word] &+= Int64.random(in: -50...50, using: &random)
        case 2: row[word] = Int64.random(in: Int64.min...Int64.max, using: &random)
        case 3: row[word] = tile.empty[word]
        default: break
        }
      }
      tile.append(row, at: end)
    }
    return tile
  }

  @Test("tiles come back from both forms, and the packed one is never longer", arguments: 0..<40)
  func tiles(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let tile = Self.tile(&random, rows: Int.random(in: 0...360, using: &random), width: [1, 5, 40, 200][Int(seed % 4)])
    let packed = tile.packedBytes
    #expect(packed.count <= tile.bytes.count)
    #expect(PackedTile(tile.bytes, empty: tile.empty)?.tile == tile)
    #expect(PackedTile(packed, empty: tile.empty)?.tile == tile)
  }

  @Test("a tile that repeats is packed, one of a few bytes is not")
  func packs() {
    var tile = TierTile(empty: [Int64](repeating: 0, count: 64))
    for row in 1...60 { tile.append((0..<64).map { Int64($0 * 1000 + row % 2) }, at: Int64(row)) }
    #expect(tile.bytes[0] == TierTile.version && tile.packedBytes[0] == TierTile.packedVersion)
    #expect(tile.packedBytes.count * 4 < tile.bytes.count * 3)
    var small = TierTile(empty: [0])
    small.append([7], at: 1)
    #expect(small.packedBytes == small.bytes)
  }

  @Test("cut, changed and made up bytes are no trap", arguments: 0..<6)
  func damagedTiles(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let tile = Self.tile(&random, rows: 60, width: 40)
    for bytes in [tile.bytes, tile.packedBytes] {
      for _ in 0..<60 {
        var changed = bytes
        changed[Int.random(in: changed.indices, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
        _ = PackedTile(changed, empty: tile.empty)?.tile
        let cut = PackedTile(Array(bytes.prefix(Int.random(in: 0..<bytes.count, using: &random))), empty: tile.empty)
        #expect(cut?.tile == nil)
      }
    }
    for version in [TierTile.version, TierTile.packedVersion] {
      for _ in 0..<100 {
        let noise = (0..<Int.random(in: 0...80, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        _ = PackedTile([version] + noise, empty: tile.empty)?.tile
      }
    }
    // A length that the block cannot have.
    #expect(PackedTile([TierTile.packedVersion, 0xFF, 0xFF, 0xFF, 0x07, 0], empty: tile.empty) == nil)
  }

  private static func sketch(_ random: inout SeededRandom, _ readings: Int, _ range: ClosedRange<Int64>)
    -> QuantileSketch
  {
    var sketch = QuantileSketch()
    for _ in 0..<readings { sketch.add(Int64.random(in: range, using: &random)) }
    return sketch
  }

  @Test("sketches come back, dense ones shorter than as a list, far ones as a list", arguments: 0..<3)
  func sketches(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let slots = Array(RolledMetric.all.indices.prefix(4))
    var far = QuantileSketch()
    for reading in [Int64.min / 4, 0, Int64.max / 4] { far.add(reading) }
    let dense = slots.map { ($0, Self.sketch(&random, 30_000, 60_000...1_000_000)) }
    for entries in [dense, slots.map { ($0, far) }, [], [(slots[0], QuantileSketch())], [dense[0], (slots[1], far)]] {
      let found = try #require(SketchBytes.sketches(SketchBytes.bytes(entries)))
      #expect(found == Dictionary(uniqueKeysWithValues: entries))
      #expect(SketchBytes.sketches(Self.listed(entries)) == found, "as it was written before")
    }
    #expect(SketchBytes.bytes(dense)[0] == SketchBytes.version)
    #expect(SketchBytes.bytes(dense).count * 4 < Self.listed(dense).count * 3)
    #expect(SketchBytes.bytes([(slots[0], far)]) == Self.listed([(slots[0], far)]))
  }

  private static func listed(_ entries: [(Int, QuantileSketch)]) -> [UInt8] {
    var writer = IntegerWriter()
    writer.add(entries.count)
    for (slot, sketch) in entries {
      writer.add(Int64(RolledMetric.all[slot].metric.id.rawValue))
      writer.add(sketch)
    }
    return writer.bytes
  }

  @Test("damaged sketches are no trap", arguments: 0..<6)
  func damagedSketches(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let bytes = SketchBytes.bytes([(0, Self.sketch(&random, 5000, -1000...900_000))])
    for _ in 0..<100 {
      var changed = bytes
      changed[Int.random(in: changed.indices, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
      _ = SketchBytes.sketches(changed)
      #expect(SketchBytes.sketches(Array(bytes.prefix(Int.random(in: 0..<bytes.count, using: &random)))) == nil)
      let noise = (0..<Int.random(in: 0...80, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      _ = SketchBytes.sketches([SketchBytes.version] + noise)
    }
    #expect(QuantileSketch(first: 0, counts: [-1]) == nil)
    #expect(QuantileSketch(first: 0, counts: [1 << 32]) == nil)
    #expect(QuantileSketch(first: 1 << 16, counts: [1]) == nil)
    #expect(QuantileSketch(first: 5, counts: [0, 0, 3])?.count == 3)
  }
}
