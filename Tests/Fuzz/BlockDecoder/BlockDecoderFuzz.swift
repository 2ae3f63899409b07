import BongsuCodec
import BongsuModel

/// libFuzzer's entry: the first byte picks a layout and whether there is a base, the rest is the payload. Whatever
/// comes must be refused with a `BlockError` or decode to readings within limits; an accepted payload is encoded again
/// and must come back the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard count >= 1, let start = unsafe start else { return 0 }
  // SAFETY: the fuzzer hands over `count` readable bytes that outlive the call.
  let bytes = unsafe RawSpan(_unsafeStart: start, byteCount: count)
  // SAFETY: any byte is a UInt8, and there is at least one.
  let choice = unsafe bytes.unsafeLoad(fromByteOffset: 0, as: UInt8.self)
  let payload = bytes.extracting(1..<count)
  let shape = shapes[Int(choice >> 1) % shapes.count]
  let base: [Int64]? = choice & 1 == 0 ? nil : (0..<shape.width).map { $0 % 7 == 6 ? Int64.min : Int64($0 * 1000) }
  do {
    try check(payload, shape, base)
  } catch is BlockError {
    return 0
  } catch {
    fatalError("unexpected error \(error)")
  }
  return 0
}

private func check(_ payload: RawSpan, _ shape: BlockShape, _ base: [Int64]?) throws {
  let summary = try BlockDecoder.inspect(payload)
  guard summary.rows * shape.width <= 1 << 16 else { return }
  var decoder = BlockDecoder()
  let rows = try decode(payload, shape, base, rows: summary.rows, &decoder)
  for value in rows where value != Int64.min && value.magnitude > 1 << 53 { fatalError("decoded \(value)") }
  let offsets = (0..<summary.rows).map { UInt32(decoder.tickOffset(ofRow: $0)) }
  let flags = (0..<summary.rows).map { decoder.flags(ofRow: $0) }
  var encoder = BlockEncoder()
  var again: [UInt8] = []
  if let base {
    try encoder.encode(
      rows: rows.span, shape: shape, base: base.span, tickOffsets: offsets.span, rowFlags: flags.span,
      appendingTo: &again)
  } else {
    try encoder.encode(
      rows: rows.span, shape: shape, base: nil, tickOffsets: offsets.span, rowFlags: flags.span, appendingTo: &again)
  }
  // SAFETY: bytes without padding; the span is used in this statement only.
  let back = try unsafe decode(again.span.bytes, shape, base, rows: summary.rows, &decoder)
  guard back == rows else { fatalError("the rows of an accepted payload do not survive a round trip") }
}

private func decode(
  _ payload: RawSpan, _ shape: BlockShape, _ base: [Int64]?, rows count: Int, _ decoder: inout BlockDecoder
) throws -> [Int64] {
  var rows = [Int64](repeating: 0, count: count * shape.width)
  var target = rows.mutableSpan
  if let base {
    _ = try decoder.decode(payload, shape: shape, base: base.span, into: &target)
  } else {
    _ = try decoder.decode(payload, shape: shape, base: nil, into: &target)
  }
  return rows
}

/// Layouts with one, few, many and uneven devices; few columns and all.
private let shapes: [BlockShape] = [1, 3, 8, 17, 72].flatMap { gpus in
  [3, MetricCatalogue.all.count].map { columns in
    let devices = [Device.node] + (0..<gpus).map { Device(scope: .gpu, index: UInt16($0), key: "\($0)", model: "") }
    do {
      return BlockShape(
        try RowLayout(interval: .second, columns: Array(MetricCatalogue.all.prefix(columns)), devices: devices))
    } catch {
      fatalError("\(error)")
    }
  }
}
