import BongsuModel
import Glibc

/// A `BGDS0001` file: a fixed header and `value[tick][gpu][metric]` as little-endian 64-bit integers.
struct SampleFile {
  let gpus: Int
  let metrics: Int
  let ticks: Int
  let gpusPerNode: Int
  let values: [Int64]

  var nodes: Int { max(1, gpus / gpusPerNode) }

  init(path: String) throws {
    let bytes = try Self.read(path)
    guard bytes.count >= 64, Array(bytes[..<8]) == Array("BGDS0001".utf8) else {
      throw BenchError("\(path) is not a BGDS0001 file; bench/ingest/gen.c writes one")
    }
    func word(_ offset: Int) -> Int { (0..<4).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) } }
    gpus = word(8)
    metrics = word(12)
    ticks = word(16)
    gpusPerNode = min(max(1, word(20)), max(1, word(8)))
    let count = gpus * metrics * ticks
    guard bytes.count == 64 + count * 8 else {
      throw BenchError("\(path) has \(bytes.count) bytes, its header asks for \(64 + count * 8)")
    }
    var values = [Int64](repeating: 0, count: count)
    for index in 0..<count {
      var word: UInt64 = 0
      for byte in 0..<8 { word |= UInt64(bytes[64 + index * 8 + byte]) << UInt64(8 * byte) }
      values[index] = Int64(bitPattern: word)
    }
    self.values = values
  }

  /// The rows of node number `node`, column after column in the order of `mapping`; of those in `kept` only.
  func rows(node: Int, _ mapping: Mapping, only kept: [Int]? = nil) -> [Int64] {
    var rows: [Int64] = []
    rows.reserveCapacity(ticks * metrics * gpusPerNode)
    var sums = [Int64](repeating: 0, count: metrics * gpusPerNode)
    for tick in 0..<ticks {
      for (metric, column) in mapping.columns.enumerated() where kept?.contains(metric) ?? true {
        for gpu in 0..<gpusPerNode {
          var value = values[(tick * gpus + node * gpusPerNode + gpu) * metrics + metric] * column.factor
          if column.accumulates {
            sums[metric * gpusPerNode + gpu] += value
            value = sums[metric * gpusPerNode + gpu]
          }
          rows.append(value)
        }
      }
    }
    return rows
  }

  private static func read(_ path: String) throws -> [UInt8] {
    // SAFETY: the string is passed as a zero-terminated copy.
    let descriptor = unsafe open(path, O_RDONLY)
    guard descriptor >= 0 else { throw BenchError("cannot open \(path): errno \(errno)") }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      // SAFETY: the kernel writes at most the length of the buffer it is given.
      let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      guard count >= 0 else { throw BenchError("cannot read \(path): errno \(errno)") }
      if count == 0 { return bytes }
      bytes.append(contentsOf: chunk[..<count])
    }
  }
}

/// How a file's metrics become columns.
struct Mapping {
  struct Column {
    let metric: Metric
    /// From the file's unit to the column's.
    let factor: Int64
    /// Whether the file holds rates of what the column counts.
    let accumulates: Bool
  }

  let name: String
  let columns: [Column]

  /// The file's numbers as they are, so that sizes compare with codecs that store the same numbers.
  static func asIs(_ file: SampleFile) -> Mapping {
    let ids: [MetricID] =
      switch file.metrics {
      case 12: benchIDs
      case 3: [.gpuPower, .gpuUtilization, .gpuTemperature]
      default: []
      }
    let columns = (0..<file.metrics).map { index in
      let known = index < ids.count ? MetricCatalogue.metric(ids[index]) : nil
      let isRate = known?.kind == .counter && known?.unit == .kibibyte
      let metric =
        isRate || known == nil
        ? Metric(
          id: MetricID(rawValue: UInt16(1000 + index)), name: "rate_\(index)", unit: .count, kind: .gauge, scope: .gpu,
          help: "") : known
      return Column(metric: metric ?? MetricCatalogue.all[0], factor: 1, accumulates: false)
    }
    return Mapping(name: "as-is", columns: columns)
  }

  /// The bench set in the catalogue's units, as an agent would send it: thousandths, tenths of a degree, kibibytes,
  /// and transfer counters instead of rates.
  static func catalogue(_ file: SampleFile) throws -> Mapping {
    guard file.metrics == 12 else { throw BenchError("the catalogue mapping knows the bench set's 12 metrics only") }
    let columns = try benchIDs.map { id in
      guard let metric = MetricCatalogue.metric(id) else { throw BenchError("metric \(id.rawValue) is unknown") }
      let factor: Int64 =
        switch metric.unit {
        case .permille, .decicelsius: 10
        case .kibibyte: metric.kind == .gauge ? 1024 : 1
        default: 1
        }
      return Column(metric: metric, factor: factor, accumulates: metric.unit == .kibibyte && metric.kind == .counter)
    }
    return Mapping(name: "catalogue", columns: columns)
  }

  private static let benchIDs: [MetricID] = [
    .gpuPower, .gpuEnergy, .gpuUtilization, .gpuMemoryUtilization, .gpuSMClock, .gpuMemoryClock, .gpuTemperature,
    .gpuMemoryTemperature, .gpuMemoryUsed, .gpuPCIeTransmit, .gpuPCIeReceive, .gpuClockEventReasons,
  ]

  /// The layout of a node of `gpus` GPUs; of the columns in `kept` only.
  func layout(gpus: Int, only kept: [Int]? = nil) throws -> RowLayout {
    let devices = (0..<gpus).map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\($0)", model: "") }
    let metrics = columns.enumerated().filter { kept?.contains($0.offset) ?? true }.map(\.element.metric)
    return try RowLayout(interval: .second, columns: metrics, devices: devices)
  }
}

/// A message for the terminal.
struct BenchError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
