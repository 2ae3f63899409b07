import BongsuCodec
import BongsuModel
import Glibc

/// Sizes and times of one way of cutting a file into blocks. One thread; values only, input and output in memory.
struct CodecRun {
  /// Whether a block builds on the last row of the one before.
  enum Framing: String {
    /// Each block alone.
    case alone = "self"
    /// All but the first of a node.
    case stream = "strm"
    /// As a session does: all but the first of a node and one in every 60 ticks.
    case session
  }

  var samples = 0
  var bytes = 0
  var blocks = 0
  var compressedBlocks = 0
  var encodeSeconds = 0.0
  var decodeSeconds = 0.0
  /// Sum of all decoded words, so that no work can be left out.
  var hash: Int64 = 0

  var bytesPerSample: Double { Double(bytes) / Double(max(samples, 1)) }

  /// Encodes and decodes every block of `rows`; the first round of each checks and warms up, the others are timed as a
  /// whole.
  mutating func add(
    rows: [Int64], shape: BlockShape, ticksPerBlock: Int, framing: Framing, encodeRounds: Int, decodeRounds: Int
  ) throws {
    var encoder = BlockEncoder()
    var decoder = BlockDecoder()
    let width = shape.width
    let count = rows.count / width / ticksPerBlock
    guard count > 0 else { return }
    var payloads = [UInt8](repeating: 0, count: (0..<count).count * shape.payloadBytesMax(rows: ticksPerBlock))
    var ends = [Int](repeating: 0, count: count)
    var decoded = [Int64](repeating: 0, count: ticksPerBlock * width)
    var scratch = [UInt8](repeating: 0, count: shape.payloadBytesMax(rows: ticksPerBlock))
    let input = rows.span
    for round in 0..<encodeRounds {
      let start = now()
      var end = 0
      for block in 0..<count {
        let first = block * ticksPerBlock * width
        let part = input.extracting(first..<(first + ticksPerBlock * width))
        let isBased = Self.isBased(block, ticksPerBlock, framing)
        var output = scratch.mutableSpan
        // SAFETY: a byte is a byte; the bytes are written before they are read.
        var raw = unsafe output.mutableBytes
        let written =
          isBased
          ? try encoder.encode(rows: part, shape: shape, base: input.extracting((first - width)..<first), into: &raw)
          : try encoder.encode(rows: part, shape: shape, base: nil, into: &raw)
        if round == 0 { payloads.replaceSubrange(end..<(end + written), with: scratch[..<written]) }
        end += written
        ends[block] = end
      }
      if round > 0 { encodeSeconds += now() - start }
    }
    for round in 0..<decodeRounds {
      let start = now()
      var target = decoded.mutableSpan
      for block in 0..<count {
        let first = block * ticksPerBlock * width
        let from = block == 0 ? 0 : ends[block - 1]
        // SAFETY: bytes without padding; the span ends with this statement's block.
        let payload = unsafe payloads.span.bytes.extracting(from..<ends[block])
        let isBased = Self.isBased(block, ticksPerBlock, framing)
        _ =
          isBased
          ? try decoder.decode(
            payload, shape: shape, base: input.extracting((first - width)..<first), into: &target)
          : try decoder.decode(payload, shape: shape, base: nil, into: &target)
        if round == 0 { try check(target.span, rows, from: first, payload) }
      }
      if round > 0 { decodeSeconds += now() - start }
      hash &+= target[0]
    }
    samples += count * ticksPerBlock * width
    blocks += count
    bytes += ends[count - 1]
  }

  private mutating func check(_ decoded: Span<Int64>, _ rows: [Int64], from first: Int, _ payload: RawSpan) throws {
    for index in 0..<decoded.count where decoded[index] != rows[first + index] {
      throw BenchError("value \(first + index) is \(decoded[index]), expected \(rows[first + index])")
    }
    if try BlockDecoder.inspect(payload).isCompressed { compressedBlocks += 1 }
  }

  private static func isBased(_ block: Int, _ ticksPerBlock: Int, _ framing: Framing) -> Bool {
    switch framing {
    case .alone: false
    case .stream: block > 0
    case .session: block % max(1, 60 / ticksPerBlock) != 0
    }
  }
}

/// Monotonic seconds.
func now() -> Double {
  var time = timespec()
  // SAFETY: the kernel fills the struct it is given.
  _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
