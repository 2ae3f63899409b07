import BongsuModel
import BongsuTestKit
import Glibc
import Testing

@testable import BongsuDevices

/// Writes `text` to a file of its own and gives its path.
func temporaryFile(_ text: String, in folder: TemporaryDirectory, name: String = "run.csv") throws -> String {
  try temporaryFile(Array(text.utf8), in: folder, name: name)
}

/// Writes `bytes` to a file of its own and gives its path.
func temporaryFile(_ bytes: [UInt8], in folder: TemporaryDirectory, name: String = "run.csv") throws -> String {
  let path = "\(folder.path)/\(name)"
  let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
  try #require(file >= 0)
  defer { _ = close(file) }
  var bytes = bytes
  // SAFETY: as many bytes are written as the array has.
  try #require(unsafe write(file, &bytes, bytes.count) == bytes.count)
  return path
}

@Suite("recordings")
struct RecordingTests {
  private static let header = "run,node,gpu,t_ms,power_w,gpu_util_pct,temp_c\n"

  private func recording(_ text: String, run: String? = nil, node: String? = nil) throws -> Recording {
    let folder = try TemporaryDirectory()
    return try Recording(path: try temporaryFile(text, in: folder), run: run, node: node)
  }

  @Test("values become wire units, exactly; empty fields are no values")
  func values() throws {
    let recording = try recording(
      Self.header + "a,n0,0,1000,390.78,100,42\na,n0,0,1300,0.0004,,-3.5\na,n0,1,1000,12,7,\r\na,n0,,1100,6000.5,,")
    #expect(recording.run == "a" && recording.node == "n0")
    #expect(recording.gpus == [0, 1])
    #expect(recording.firstMilliseconds == 1000 && recording.lastMilliseconds == 1300)
    func series(_ gpu: UInt16?, _ metric: MetricID) -> RecordedSeries? {
      recording.series[Recording.Key(gpu: gpu, metric: metric)]
    }
    #expect(series(0, .gpuPower)?.values == [390_780, 0])
    #expect(series(0, .gpuPower)?.times == [0, 300])
    #expect(series(0, .gpuUtilization)?.values == [1000])
    #expect(series(0, .gpuTemperature)?.values == [420, -35])
    #expect(series(1, .gpuTemperature) == nil)
    #expect(series(nil, .nodePower)?.values == [6_000_500])
    #expect(series(nil, .nodePower)?.times == [100])
  }

  @Test(
    "decimal text is rounded to nearest at the wire unit, halves away from zero",
    arguments: [
      ("1", 1000), ("1.5", 1500), ("0.0004", 0), ("0.0005", 1), ("0.00049999", 0), ("-1.2345", -1235),
      ("9.9996", 10_000),
      ("007.100", 7100),
    ])
  func fixedPoint(text: String, expected: Int64) {
    let bytes = Array(text.utf8)
    #expect(Fields.fixedPoint(bytes.span, 0..<bytes.count, decimals: 3) == expected)
  }

  @Test(
    "text that is no plain decimal number is none",
    arguments: ["", "-", ".", ".5", "1.", "1.2.3", "1e3", "+1", " 1", "1 ", "0x1", "NaN", "9999999999999999999"])
  func notANumber(text: String) {
    let bytes = Array(text.utf8)
    #expect(Fields.fixedPoint(bytes.span, 0..<bytes.count, decimals: 3) == nil)
  }

  /// Malformed files, the line that is named and what the message must contain.
  private static let malformed: [(String, Int, String)] = [
    ("time,power\n", 1, "header starts with 'time,power'; expected run,node,gpu,t_ms,power_w,…"),
    ("run,node,gpu,t_ms,watts\n", 1, "unknown column 'watts'; expected one of power_w"),
    ("run,node,gpu,t_ms,power_w,power_w\n", 1, "column 'power_w' appears twice"),
    ("run,node,gpu,t_ms,pf\n", 1, "no column that can be replayed; expected one of power_w"),
    ("run,node,gpu,t_ms\n", 1, "no column that can be replayed"),
    (header + "a,n0,0,1000,1,1\n", 2, "6 fields; expected 7 as in the header"),
    (header + "a,n0,0,1000,1,1,1\n\n", 3, "1 fields; expected 7"),
    (header + "a,n0,0,1000,1,1,1,\n", 2, "8 fields; expected 7"),
    (header + ",n0,0,1000,1,1,1\n", 2, "run or node is empty"),
    (header + "a,,0,1000,1,1,1\n", 2, "run or node is empty"),
    (header + "a,n0,x,1000,1,1,1\n", 2, "gpu is 'x'; expected nothing or a number below 128"),
    (header + "a,n0,128,1000,1,1,1\n", 2, "gpu is '128'"),
    (header + "a,n0,-1,1000,1,1,1\n", 2, "gpu is '-1'"),
    (header + "a,n0,0,soon,1,1,1\n", 2, "t_ms is 'soon'; expected milliseconds since 1970"),
    (header + "a,n0,0,99999999999999,1,1,1\n", 2, "t_ms is '99999999999999'"),
    (header + "a,n0,0,1000,x,1,1\n", 2, "power_w is 'x'; expected a number that is not negative"),
    (header + "a,n0,0,1000,-1,1,1\n", 2, "power_w is '-1'"),
    (header + "a,n0,0,1000,1,1,cold\n", 2, "temp_c is 'cold'; expected a number"),
    (header + "a,n0,0,1000,1,1,1\na,n0,0,999,1,1,1\n", 3, "t_ms is 999, before 1000"),
    (header + "a,n0,0,1000,1,1,1\nb,n0,0,1000,1,1,1\n", 3, "run 'b' besides 'a'; choose one with run=NAME"),
    (header + "a,n0,0,1000,1,1,1\na,n1,0,1000,1,1,1\n", 3, "node 'n1' besides 'n0'; choose one with node=NAME"),
    (header + "a,n0,0,1000,1,1,1\na,n0,1,5000000000,1,1,1\n", 3, "more than 49 days"),
    (header + String(repeating: "1", count: 5000), 2, "line is longer than 4096 bytes"),
  ]

  @Test("a malformed file is refused with its line, what was found and what was expected", arguments: malformed.indices)
  func malformedFile(index: Int) throws {
    let (text, line, problem) = Self.malformed[index]
    let folder = try TemporaryDirectory()
    let path = try temporaryFile(text, in: folder)
    let error = #expect(throws: RecordingError.self) { try Recording(path: path, run: nil, node: nil) }
    let description = try #require(error).description
    #expect(description.hasPrefix("\(path):\(line): ") && description.contains(problem), "\(description)")
  }

  @Test("a missing, an empty and a fruitless file say so")
  func nothing() throws {
    let folder = try TemporaryDirectory()
    #expect(throws: RecordingError.unreadable(path: "/nonexistent/x.csv", errno: ENOENT)) {
      try Recording(path: "/nonexistent/x.csv", run: nil, node: nil)
    }
    let path = try temporaryFile("", in: folder)
    #expect(throws: RecordingError.empty(path: path)) { try Recording(path: path, run: nil, node: nil) }
    let other = try temporaryFile(Self.header + "a,n0,0,1000,1,1,1\n", in: folder, name: "other.csv")
    #expect(throws: RecordingError.noRows(path: other, run: "b", node: nil)) {
      try Recording(path: other, run: "b", node: nil)
    }
    let directory = #expect(throws: RecordingError.self) { try Recording(path: folder.path, run: nil, node: nil) }
    #expect(directory == .unreadable(path: folder.path, errno: EISDIR))
  }

  @Test("the named run and node are taken from a file of several")
  func choice() throws {
    let text = Self.header + "a,n0,0,1000,1,1,1\na,n1,0,1000,2,1,1\nb,n1,0,2000,3,1,1\n"
    #expect(try recording(text, run: "a", node: "n1").series[.init(gpu: 0, metric: .gpuPower)]?.values == [2000])
    #expect(try recording(text, run: "b").series[.init(gpu: 0, metric: .gpuPower)]?.values == [3000])
  }

  @Test("damaged files are refused or read, and never end the process")
  func damaged() throws {
    var random = SeededRandom(default: 5)
    let whole = Array((Self.header + (0..<20).map { "a,n0,\($0 % 4),\(1000 + $0),\($0).5,100,4\($0)\n" }.joined()).utf8)
    let folder = try TemporaryDirectory()
    var refused = 0
    for round in 0..<800 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(UInt8(ascii: "9"), at: place)
        default: bytes.removeSubrange(place...)
        }
        if bytes.isEmpty { break }
      }
      let path = try temporaryFile(bytes, in: folder)
      do throws(RecordingError) {
        let recording = try Recording(path: path, run: nil, node: nil)
        #expect(recording.lastMilliseconds >= recording.firstMilliseconds, "seed \(random.seed), round \(round)")
      } catch {
        #expect(!error.description.contains("\n"))
        refused += 1
      }
    }
    #expect(refused > 250 && refused < 800)
  }

  @Test(
    "every recording of real machines is read, each value as recorded",
    .enabled(if: RecordedData.isPresent, "no folder of recordings; set BONGSU_SHARED_DATA to one"),
    arguments: RecordedData.files)
  func realFiles(file: String) throws {
    let folder = try TemporaryDirectory()
    let source = try #require(RecordedData.folder)
    let path = "\(folder.path)/all.csv"
    try #require(runShell("gzip -dc '\(source)/\(file)' > '\(path)'") == 0)
    var compared = 0
    for trace in try RecordedTrace.read(file).prefix(4) {
      let recording = try Recording(path: path, run: trace.run, node: trace.node)
      let column = try #require(trace.metrics.firstIndex(of: "power_w"))
      let isNode = recording.gpus.isEmpty
      for (place, samples) in trace.series.enumerated() {
        let key =
          isNode
          ? Recording.Key(gpu: nil, metric: .nodePower)
          : Recording.Key(gpu: recording.gpus[place], metric: .gpuPower)
        let expected = samples.compactMap { $0.thousandths[column] }
        #expect((recording.series[key]?.values ?? []) == expected, "\(trace.run) \(place)")
        compared += expected.count
      }
    }
    #expect(compared > 500)
  }
}
