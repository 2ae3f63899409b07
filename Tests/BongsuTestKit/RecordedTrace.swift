private import Glibc

/// Recordings of real machines that lie outside the repository: `BONGSU_SHARED_DATA`, else `../shared/data` beside the
/// package. Tests that use them are skipped where they are absent.
public enum RecordedData {
  /// The folder of the recordings, `nil` when there is none.
  public static let folder: String? = {
    // This file is Tests/BongsuTestKit/RecordedTrace.swift, three levels below the package.
    let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    let candidates = [environment("BONGSU_SHARED_DATA"), root + "/../shared/data"]
    return candidates.compactMap { $0 }.first { path in
      // SAFETY: the string is passed as a zero-terminated copy.
      unsafe access(path + "/INDEX.csv", R_OK) == 0
    }
  }()

  /// Whether the recordings are there; for `.enabled(if:)`.
  public static var isPresent: Bool { folder != nil }

  /// Every recorded file with sample rows.
  public static let files = [
    "gpu-bench-single.csv.gz", "gpu-nvml-mw-4gpu.csv.gz", "gpu-train-nanogpt-8gpu.csv.gz",
    "node-infer-a100-3psu.csv.gz",
    "node-infer-a100.csv.gz", "node-train-lenovo-b200.csv.gz", "node-train-smc-h100.csv.gz",
  ]
}

/// One run of one node in a recording: for each GPU (or the node itself) its samples in time order.
public struct RecordedTrace: Sendable {
  /// Names of the run and the node.
  public let run: String
  public let node: String
  /// Names of the recorded quantities, the order of each sample's `values`.
  public let metrics: [String]
  /// Samples of each GPU, by number; one entry for a node-level series.
  public var series: [[Sample]] = []

  /// What was read at one time.
  public struct Sample: Sendable {
    public let unixMilliseconds: Int64
    /// Thousandths of the recorded number, `nil` where nothing was recorded.
    public let thousandths: [Int64?]
  }

  /// Ways in which reading a recording fails.
  public struct Unreadable: Error, CustomStringConvertible {
    public let description: String
  }

  /// All runs of all nodes in `file` of ``RecordedData/folder``.
  public static func read(_ file: String) throws -> [RecordedTrace] {
    guard let folder = RecordedData.folder else { throw Unreadable(description: "no folder of recordings") }
    let lines = try unpack(folder + "/" + file).split(separator: 10)
    guard let header = lines.first else { throw Unreadable(description: "\(file) is empty") }
    let names = fields(header).map { String(decoding: $0, as: UTF8.self) }
    let metrics = Array(names.dropFirst(4))
    var traces: [RecordedTrace] = []
    var gpu: [UInt8] = []
    for line in lines.dropFirst() {
      let cells = fields(line)
      guard cells.count == names.count, let time = thousandths(cells[3]) else {
        throw Unreadable(description: "\(file): '\(String(decoding: line, as: UTF8.self))' has another shape")
      }
      let run = String(decoding: cells[0], as: UTF8.self)
      let node = String(decoding: cells[1], as: UTF8.self)
      if traces.last?.run != run || traces.last?.node != node {
        traces.append(RecordedTrace(run: run, node: node, metrics: metrics, series: [[]]))
        gpu = Array(cells[2])
      } else if gpu != Array(cells[2]) {
        traces[traces.count - 1].series.append([])
        gpu = Array(cells[2])
      }
      let sample = Sample(unixMilliseconds: time / 1000, thousandths: cells.dropFirst(4).map { thousandths($0) })
      traces[traces.count - 1].series[traces[traces.count - 1].series.count - 1].append(sample)
    }
    return traces
  }

  private static func fields(_ line: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
    line.split(separator: 0x2C, omittingEmptySubsequences: false)
  }

  /// A decimal number times 1000, rounded towards zero; `nil` for an empty field or text.
  static func thousandths(_ text: ArraySlice<UInt8>) -> Int64? {
    var digits = text
    let isNegative = digits.first == 0x2D
    if isNegative { digits = digits.dropFirst() }
    guard !digits.isEmpty else { return nil }
    var value: Int64 = 0
    var decimals = -1
    for byte in digits {
      if byte == 0x2E && decimals < 0 {
        decimals = 0
        continue
      }
      guard (0x30...0x39).contains(byte) else { return nil }
      if decimals >= 3 { continue }
      value = value &* 10 &+ Int64(byte &- 0x30)
      if decimals >= 0 { decimals += 1 }
    }
    for _ in max(decimals, 0)..<3 { value = value &* 10 }
    return isNegative ? -value : value
  }

  /// The contents of a gzip file, by way of `gzip -dc`.
  private static func unpack(_ path: String) throws -> [UInt8] {
    guard !path.utf8.contains(0x27) else { throw Unreadable(description: "\(path) contains a quote") }
    // SAFETY: both strings are passed as zero-terminated copies; the stream is closed below.
    guard let stream = unsafe popen("gzip -dc '\(path)'", "r") else {
      throw Unreadable(description: "cannot start gzip: errno \(errno)")
    }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      // SAFETY: the library writes at most the length of the buffer it is given.
      let count = unsafe chunk.withUnsafeMutableBytes { unsafe fread($0.baseAddress, 1, $0.count, stream) }
      if count == 0 { break }
      bytes.append(contentsOf: chunk[..<count])
    }
    // SAFETY: `stream` came from popen and is closed once.
    let status = unsafe pclose(stream)
    guard status == 0 else { throw Unreadable(description: "gzip cannot read \(path): status \(status)") }
    return bytes
  }
}
