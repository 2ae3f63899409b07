import BongsuCodec
import BongsuModel

/// Measures BongsuCodec on a sample file: bytes per sample, encode and decode speed on one core.
///
///     codec-bench FILE                  tab-separated rows, the contract of a codec candidate
///     codec-bench table FILE [NODES]    sizes and speeds by block length, in both unit mappings
///     codec-bench metrics FILE [NODES]  bytes per sample of each metric by block length
///     codec-bench work FILE TICKS encode|decode ROUNDS
///                                       the same blocks over and over, for callgrind: the difference of two runs
///                                       divided by its samples is the instructions of one sample
@main
enum CodecBench {
  static func main() throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    switch (arguments.first, arguments.count) {
    case ("table"?, 2...): try table(arguments[1], nodes: arguments.count > 2 ? Int(arguments[2]) ?? 64 : 64)
    case ("metrics"?, 2...): try metrics(arguments[1], nodes: arguments.count > 2 ? Int(arguments[2]) ?? 64 : 64)
    case ("work"?, 5):
      guard let ticks = Int(arguments[2]), let rounds = Int(arguments[4]) else { return usage() }
      try work(arguments[1], ticks: ticks, isEncoding: arguments[3] == "encode", rounds: rounds)
    case (let path?, 1): try candidate(path)
    default: usage()
    }
  }

  private static func usage() {
    print(
      """
      usage: codec-bench FILE | table FILE [NODES] | metrics FILE [NODES] | work FILE TICKS encode|decode ROUNDS
      """)
  }

  private static func work(_ path: String, ticks: Int, isEncoding: Bool, rounds: Int) throws {
    let file = try SampleFile(path: path)
    let mapping = file.metrics == 12 ? try Mapping.catalogue(file) : Mapping.asIs(file)
    let shape = BlockShape(try mapping.layout(gpus: file.gpusPerNode))
    var result = CodecRun()
    try result.add(
      rows: file.rows(node: 0, mapping), shape: shape, ticksPerBlock: ticks, framing: ticks == 1 ? .session : .alone,
      encodeRounds: isEncoding ? rounds : 1, decodeRounds: isEncoding ? 1 : rounds)
    print("\(result.samples) samples a round, \(rounds) rounds, hash \(result.hash)")
  }

  /// Node numbers spread evenly over the file.
  private static func nodes(_ file: SampleFile, most: Int) -> [Int] {
    let used = min(most, file.nodes)
    return (0..<used).map { $0 * (file.nodes / used) }
  }

  private static func run(
    _ file: SampleFile, _ mapping: Mapping, ticks: Int, _ framing: CodecRun.Framing, nodes: [Int], repeats: Int,
    only kept: [Int]? = nil
  ) throws -> CodecRun {
    let shape = BlockShape(try mapping.layout(gpus: file.gpusPerNode, only: kept))
    var result = CodecRun()
    for node in nodes {
      let rows = file.rows(node: node, mapping, only: kept)
      try result.add(
        rows: rows, shape: shape, ticksPerBlock: ticks, framing: framing, encodeRounds: repeats + 1,
        decodeRounds: repeats + 1)
    }
    return result
  }

  private static func candidate(_ path: String) throws {
    let file = try SampleFile(path: path)
    let mapping = Mapping.asIs(file)
    let name = path.split(separator: "/").last.map(String.init) ?? path
    for ticks in [1, 10, 120] where ticks <= file.ticks {
      for framing in [CodecRun.Framing.alone, .stream] {
        let run = try run(file, mapping, ticks: ticks, framing, nodes: nodes(file, most: 64), repeats: 3)
        let megabytes = Double(run.samples) * 8 / 1e6 * 3
        print(
          name, "node x \(ticks)", framing.rawValue, "bongsu", fixed(run.bytesPerSample, 3),
          fixed(run.bytesPerSample * 8, 2), fixed(megabytes / run.encodeSeconds, 0),
          fixed(megabytes / run.decodeSeconds, 0), separator: "\t")
      }
    }
  }

  private static func table(_ path: String, nodes most: Int) throws {
    let file = try SampleFile(path: path)
    let mappings = file.metrics == 12 ? [Mapping.asIs(file), try Mapping.catalogue(file)] : [Mapping.asIs(file)]
    print("mapping    block  framing  B/sample  +10 B header  lz4 blocks  encode M/s  decode M/s  hash")
    for mapping in mappings {
      for ticks in [1, 10, 60, 120, 300] where ticks <= file.ticks {
        for framing in [CodecRun.Framing.session, .alone] {
          let run = try run(file, mapping, ticks: ticks, framing, nodes: nodes(file, most: most), repeats: 5)
          print(
            padded(mapping.name, 10), padded(String(ticks), 6), padded(framing.rawValue, 8),
            padded(fixed(run.bytesPerSample, 3), 9),
            padded(fixed(run.bytesPerSample + 10 * Double(run.blocks) / Double(run.samples), 3), 13),
            padded("\(run.compressedBlocks)/\(run.blocks)", 11),
            padded(fixed(Double(run.samples) * 5 / run.encodeSeconds / 1e6, 1), 11),
            padded(fixed(Double(run.samples) * 5 / run.decodeSeconds / 1e6, 1), 11), run.hash)
        }
      }
    }
  }

  private static func metrics(_ path: String, nodes most: Int) throws {
    let file = try SampleFile(path: path)
    let mapping = file.metrics == 12 ? try Mapping.catalogue(file) : Mapping.asIs(file)
    let lengths: [(Int, CodecRun.Framing)] = [
      (1, .session), (10, .session), (60, .alone), (120, .alone), (300, .alone),
    ]
    let used = nodes(file, most: most)
    let power = mapping.columns.firstIndex { $0.metric.id == .gpuPower }
    print(padded("metric", 40), lengths.map { padded("\($0.0) \($0.1.rawValue)", 12) }.joined())
    for column in mapping.columns.indices {
      var line = padded(mapping.columns[column].metric.name, 40) + " "
      for (ticks, framing) in lengths where ticks <= file.ticks {
        var bytes = try bytes(file, mapping, ticks: ticks, framing, nodes: used, only: [column])
        if let power, mapping.columns[column].metric.id == .gpuEnergy {
          // Energy is predicted from power, so it is priced as what it adds to power.
          bytes =
            try self.bytes(file, mapping, ticks: ticks, framing, nodes: used, only: [power, column])
            - self.bytes(file, mapping, ticks: ticks, framing, nodes: used, only: [power])
        }
        let samples = used.count * (file.ticks / ticks) * ticks * file.gpusPerNode
        line += padded(fixed(Double(bytes) / Double(samples), 3), 12)
      }
      print(line)
    }
  }

  /// Bytes of the columns in `kept`, without what a payload costs that has none: header and map.
  private static func bytes(
    _ file: SampleFile, _ mapping: Mapping, ticks: Int, _ framing: CodecRun.Framing, nodes: [Int], only kept: [Int]
  ) throws -> Int {
    let result = try run(file, mapping, ticks: ticks, framing, nodes: nodes, repeats: 0, only: kept)
    let headerBytes = ticks == 1 ? 1 : ticks < 128 ? 2 : 3
    return result.bytes - result.blocks * (headerBytes + 1)
  }
}

/// `value` with `places` decimals.
func fixed(_ value: Double, _ places: Int) -> String {
  guard value.isFinite else { return "-" }
  var scale = 1.0
  for _ in 0..<places { scale *= 10 }
  let rounded = Int64((value.magnitude * scale).rounded())
  let whole = (value < 0 && rounded > 0 ? "-" : "") + String(rounded / Int64(scale))
  if places == 0 { return whole }
  let rest = String(rounded % Int64(scale))
  return "\(whole)." + String(repeating: "0", count: places - rest.count) + rest
}

/// `text` filled with blanks to `width`.
func padded(_ text: String, _ width: Int) -> String {
  text + String(repeating: " ", count: max(0, width - text.count))
}
