internal import BongsuModel
internal import BongsuRollup

/// Sketches of one group, by place of the gauge.
///
///     ┌─────────┬──────────┬──────────────────────────────────────────────────────────────────────┐
///     │ version │ sketches │ for each: metric, first bucket, number of buckets (zigzag LEB128),    │
///     │  u8 = 1 │  LEB128  │ and their counts as an ``IntegerColumn``                              │
///     └─────────┴──────────┴──────────────────────────────────────────────────────────────────────┘
///
/// Up to version 3 of the file it was a list of integers, which begins with their number: an even byte. It is still written
/// where buckets are far apart and it is shorter.
enum SketchBytes {
  static let version: UInt8 = 1

  static func bytes(_ sketches: [(slot: Int, sketch: QuantileSketch)]) -> [UInt8] {
    var writer = IntegerWriter()
    writer.add(sketches.count)
    var bytes = [version]
    IntegerColumn.put(Int64(sketches.count), &bytes)
    for entry in sketches {
      let metric = Int64(RolledMetric.all[entry.slot].metric.id.rawValue)
      writer.add(metric)
      writer.add(entry.sketch)
      let buckets = entry.sketch.buckets
      IntegerColumn.put(metric, &bytes)
      IntegerColumn.put(Int64(buckets.first), &bytes)
      IntegerColumn.put(Int64(buckets.counts.count), &bytes)
      IntegerColumn.append(buckets.counts.map(Int64.init), to: &bytes)
    }
    return writer.bytes.count < bytes.count ? writer.bytes : bytes
  }

  /// Sketches by slot; `nil` when the bytes are none.
  static func sketches(_ bytes: [UInt8]) -> [Int: QuantileSketch]? {
    guard let first = bytes.first else { return nil }
    return first & 1 == 0 ? listed(bytes) : packed(bytes)
  }

  private static func packed(_ bytes: [UInt8]) -> [Int: QuantileSketch]? {
    let span = bytes.span
    var offset = 1
    guard bytes[0] == version, let count = IntegerColumn.number(span, &offset),
      (0...Int64(RolledMetric.all.count)).contains(count)
    else { return nil }
    var found: [Int: QuantileSketch] = [:]
    for _ in 0..<count {
      guard let metric = IntegerColumn.number(span, &offset), let first = IntegerColumn.number(span, &offset),
        let buckets = IntegerColumn.number(span, &offset), (0...Int64(1) << 14).contains(buckets),
        let counts = IntegerColumn.take(span, &offset, count: Int(buckets)),
        let sketch = QuantileSketch(first: first, counts: counts)
      else { return nil }
      if let slot = RolledMetric.slot(of: MetricID(rawValue: UInt16(truncatingIfNeeded: metric))) {
        found[slot] = sketch
      }
    }
    return offset == bytes.count ? found : nil
  }

  private static func listed(_ bytes: [UInt8]) -> [Int: QuantileSketch]? {
    var reader = IntegerReader(bytes)
    do throws(PackedIntegersUnreadable) {
      var found: [Int: QuantileSketch] = [:]
      for _ in 0..<(try reader.count(max: RolledMetric.all.count)) {
        let id = MetricID(rawValue: UInt16(truncatingIfNeeded: try reader.next()))
        let sketch = try reader.sketch()
        if let slot = RolledMetric.slot(of: id) { found[slot] = sketch }
      }
      return reader.isAtEnd ? found : nil
    } catch {
      return nil
    }
  }
}
