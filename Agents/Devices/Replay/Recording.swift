import BongsuModel
import Glibc

/// A recorded run of one node in memory: for each device and metric the values as they were recorded.
///
/// The file is comma-separated text with a header line; the first four columns are fixed, the others are named by
/// ``RecordedColumn``. There is no quoting. An empty field was not recorded:
///
///     run,node,gpu,t_ms,power_w,gpu_util_pct,temp_c
///     nanogpt-a,n0,0,1758682623946,390.78,100,42
///     nanogpt-a,n0,,1758682623946,6210.5,,                 no gpu: a reading of the node
struct Recording: Sendable {
  let run: String
  let node: String
  /// GPU numbers, ascending.
  let gpus: [UInt16]
  /// Every metric that has a value, of which GPU (`nil`: of the node).
  let series: [Key: RecordedSeries]
  /// First and last instant of the run, Unix milliseconds.
  let firstMilliseconds: Int64
  let lastMilliseconds: Int64
  /// Instants at which the most often sampled series has values.
  let samples: Int

  struct Key: Hashable, Sendable {
    let gpu: UInt16?
    let metric: MetricID
  }

  /// Reads the file at `path` and keeps one run of one node: the named ones, or the only ones it holds.
  ///
  /// Takes a file of any length line by line; what is kept is limited by ``DeviceLimits/recordedValuesMax``.
  init(path: String, run: String?, node: String?) throws(RecordingError) {
    var builder = RecordingBuilder(path: path, run: run, node: node)
    var lines = try LineReader(path: path)
    defer { lines.close() }
    guard try lines.next() else { throw .empty(path: path) }
    try builder.readHeader(lines.line.span)
    while try lines.next() {
      try builder.readRow(lines.line.span, line: lines.number)
    }
    guard let found = builder.found, let first = builder.first else {
      throw .noRows(path: path, run: run, node: node)
    }
    self.run = found.run
    self.node = found.node
    gpus = Set(builder.series.keys.compactMap(\.gpu)).sorted()
    series = builder.series.mapValues { $0.finished(origin: first) }
    firstMilliseconds = first
    lastMilliseconds = builder.last
    samples = builder.series.values.map(\.times.count).max() ?? 0
  }
}

/// The values of one metric of one device over time.
struct RecordedSeries: Sendable {
  /// Milliseconds since the recording's beginning, ascending.
  let times: [UInt32]
  /// Readings in wire units.
  let values: [Int64]

  /// Position of the last value at or before `time`, `nil` when there is none yet.
  func index(at time: Int64) -> Int? {
    var low = 0
    var high = times.count
    while low < high {
      let middle = (low + high) / 2
      if Int64(times[middle]) <= time { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? nil : low - 1
  }
}

/// Why a recording is refused.
enum RecordingError: Error, Hashable, Sendable, CustomStringConvertible {
  case unreadable(path: String, errno: Int32)
  case empty(path: String)
  case noRows(path: String, run: String?, node: String?)
  case line(path: String, number: Int, problem: String)

  var description: String {
    switch self {
    case .unreadable(let path, let code):
      "cannot read recording \(path): \(unsafe String(cString: strerror(code)))"
    case .empty(let path):
      "\(path):1: file is empty; expected the header \(RecordedColumn.header)"
    case .noRows(let path, let run, let node):
      "\(path): no row" + (run.map { " of run \($0)" } ?? "") + (node.map { " of node \($0)" } ?? "")
        + "; expected at least one after the header"
    case .line(let path, let number, let problem):
      "\(path):\(number): \(problem)"
    }
  }
}

/// Collects the rows of one run of one node.
private struct RecordingBuilder {
  let path: String
  let run: String?
  let node: String?

  private(set) var found: (run: String, node: String)?
  private(set) var first: Int64?
  private(set) var last: Int64 = 0
  private(set) var series: [Recording.Key: Growing] = [:]
  private var columns: [RecordedColumn] = []
  private var valueCount = 0

  struct Growing {
    var times: [Int64] = []
    var values: [Int64] = []

    func finished(origin: Int64) -> RecordedSeries {
      RecordedSeries(times: times.map { UInt32($0 - origin) }, values: values)
    }
  }

  init(path: String, run: String?, node: String?) {
    self.path = path
    self.run = run
    self.node = node
  }

  mutating func readHeader(_ line: Span<UInt8>) throws(RecordingError) {
    var names: [String] = []
    Fields.forEach(line) { names.append(Fields.text(line, $0)) }
    guard names.starts(with: RecordedColumn.keys) else {
      throw problem(
        1, "header starts with '\(names.prefix(4).joined(separator: ","))'; expected \(RecordedColumn.header)")
    }
    for (index, name) in names.enumerated().dropFirst(RecordedColumn.keys.count) {
      guard let column = RecordedColumn(name: name) else {
        throw problem(1, "unknown column '\(name)'; expected one of \(RecordedColumn.knownNames)")
      }
      guard !names[..<index].contains(name) else { throw problem(1, "column '\(name)' appears twice") }
      columns.append(column)
    }
    guard columns.contains(where: { $0.gpuMetric != nil || $0.nodeMetric != nil }) else {
      throw problem(1, "no column that can be replayed; expected one of \(RecordedColumn.replayedNames)")
    }
  }

  mutating func readRow(_ line: Span<UInt8>, line number: Int) throws(RecordingError) {
    let expected = RecordedColumn.keys.count + columns.count
    var ranges: [Range<Int>] = []
    ranges.reserveCapacity(expected)
    Fields.forEach(line) { ranges.append($0) }
    guard ranges.count == expected else {
      throw problem(number, "\(ranges.count) fields; expected \(expected) as in the header")
    }
    let (runName, nodeName) = (Fields.text(line, ranges[0]), Fields.text(line, ranges[1]))
    guard try isWanted(run: runName, node: nodeName, line: number) else { return }
    let gpu = try gpuNumber(line, ranges[2], number)
    let time = try time(line, ranges[3], number)
    for (column, range) in zip(columns, ranges.dropFirst(RecordedColumn.keys.count)) where !range.isEmpty {
      guard let value = column.reading(line, range) else {
        throw problem(number, "\(column.name) is '\(Fields.text(line, range))'; expected \(column.expectation)")
      }
      guard let metric = gpu == nil ? column.nodeMetric : column.gpuMetric else { continue }
      try append(value, at: time, Recording.Key(gpu: gpu, metric: metric), number)
    }
    first = min(first ?? time, time)
    last = max(last, time)
    guard last - (first ?? last) <= Int64(UInt32.max) else {
      throw problem(number, "t_ms is \(time), more than 49 days after the first row; expected one run")
    }
  }

  private mutating func append(
    _ value: Int64, at time: Int64, _ key: Recording.Key, _ number: Int
  ) throws(RecordingError) {
    if let latest = series[key]?.times.last, time < latest {
      throw problem(
        number, "t_ms is \(time), before \(latest) of an earlier row of the same device; expected rows in order")
    }
    valueCount += 1
    guard valueCount <= DeviceLimits.recordedValuesMax else {
      throw problem(number, "more than \(DeviceLimits.recordedValuesMax) values; cut the recording or choose a run")
    }
    series[key, default: Growing()].times.append(time)
    series[key, default: Growing()].values.append(value)
  }

  private mutating func isWanted(run: String, node: String, line: Int) throws(RecordingError) -> Bool {
    guard !run.isEmpty, !node.isEmpty else { throw problem(line, "run or node is empty; expected names") }
    guard self.run == nil || self.run == run, self.node == nil || self.node == node else { return false }
    guard let found else {
      self.found = (run, node)
      return true
    }
    guard found.run == run else {
      throw problem(line, "run '\(run)' besides '\(found.run)'; choose one with run=NAME")
    }
    guard found.node == node else {
      throw problem(line, "node '\(node)' besides '\(found.node)'; choose one with node=NAME")
    }
    return true
  }

  private func gpuNumber(_ line: Span<UInt8>, _ range: Range<Int>, _ number: Int) throws(RecordingError) -> UInt16? {
    guard !range.isEmpty else { return nil }
    guard let value = Fields.fixedPoint(line, range, decimals: 0),
      (0..<Int64(DeviceLimits.recordedGPUsMax)).contains(value)
    else {
      throw problem(
        number,
        "gpu is '\(Fields.text(line, range))'; expected nothing or a number below \(DeviceLimits.recordedGPUsMax)")
    }
    return UInt16(value)
  }

  private func time(_ line: Span<UInt8>, _ range: Range<Int>, _ number: Int) throws(RecordingError) -> Int64 {
    guard let value = Fields.fixedPoint(line, range, decimals: 0),
      Limits.tickRange.contains(Tick(unixMilliseconds: value))
    else {
      throw problem(number, "t_ms is '\(Fields.text(line, range))'; expected milliseconds since 1970")
    }
    return value
  }

  private func problem(_ line: Int, _ text: String) -> RecordingError {
    .line(path: path, number: line, problem: text)
  }
}
