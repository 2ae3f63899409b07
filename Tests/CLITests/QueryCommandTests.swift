import BongsuAPI
import BongsuSeries
import FixtureAggregator
import Foundation
import Testing

/// The commands that ask in PromQL, as processes against a server in this process.
@Suite struct QueryCommandTests {
  /// Power of two GPUs for a minute from 2026-11-21T09:30:00Z.
  private static let sources: APISources = {
    var series = MemorySeries()
    for second in 0...60 {
      for gpu in ["0", "1"] {
        let labels = LabelSet(
          metricName: "bongsu_gpu_power_watts",
          labels: [
            Label(name: "gpu", value: gpu), Label(name: "node", value: "r1"), Label(name: "hall", value: "가\u{1B}[31m"),
          ])
        series.append(
          labels, timestamp: 1_795_253_400_000 + Int64(second) * 1000,
          value: gpu == "0" ? 400 + Double(second) : 1250.5)
      }
    }
    return APISources(live: FixtureAggregator(), series: series)
  }()

  private static func ask(_ arguments: [String]) async throws -> Ended {
    try await withServer(sources) { port async throws in
      try await run(arguments + ["--url", "http://127.0.0.1:\(port)"])
    }
  }

  @Test("a table shows the labels that differ, values in their unit, and once what all have in common")
  func table() async throws {
    let ended = try await Self.ask(["query", "bongsu_gpu_power_watts", "--time", "2026-11-21T09:30:10Z"])
    #expect(
      ended.output == """
        gpu     VALUE
        0     410.0 W
        1    1.250 kW
        2 series, all with {__name__="bongsu_gpu_power_watts", hall="가?[31m", node="r1"}

        """)
    #expect(ended.status == 0 && ended.errors.isEmpty)
    let empty = try await Self.ask(["query", "nothing"])
    #expect(empty.status == 0 && empty.output == "no series\n")
    let scalar = try await Self.ask(["query", "0.1 + 0.2"])
    #expect(scalar.output == "0.30000000000000004\n")
  }

  @Test("CSV has every label, time and digit, JSON is the server's answer")
  func exactForms() async throws {
    let csv = try await Self.ask([
      "query", "sum by (gpu) (bongsu_gpu_power_watts)", "--start", "1795253400", "--end", "1795253401", "--step", "1s",
      "--format", "csv",
    ])
    #expect(
      csv.output.components(separatedBy: "\r\n") == [
        "gpu,time,value", "0,2026-11-21T09:30:00Z,400", "0,2026-11-21T09:30:01Z,401", "1,2026-11-21T09:30:00Z,1250.5",
        "1,2026-11-21T09:30:01Z,1250.5", "",
      ])
    let json = try await Self.ask(["query", "1/3", "--time", "0", "--format", "json"])
    #expect(
      json.output == #"{"status":"success","data":{"resultType":"scalar","result":[0,"0.3333333333333333"]}}"# + "\n")
  }

  @Test("a span is a table of times with each series named once")
  func span() async throws {
    let ended = try await Self.ask([
      "query", "bongsu_gpu_power_watts{gpu=\"0\"}", "--start", "1795253400", "--end", "1795253402", "--step", "1s",
    ])
    let lines = ended.output.split(separator: "\n")
    #expect(
      lines.count == 5 && lines[1].contains("400.0 W") && lines[3].hasPrefix("  ") && lines[3].hasSuffix("402.0 W"))
  }

  @Test(
    "a refused expression is shown with a caret under the place",
    arguments: [
      ("sum(x", "  sum(x\n       ^\n"), ("1 +\n  bogus(2)", "    bogus(2)\n    ^\n"),
      ("\"가나\" + 1", "  \"가나\" + 1\n  ^\n"),
    ])
  func caret(expression: String, shown: String) async throws {
    let ended = try await Self.ask(["query", expression])
    #expect(ended.status == 1 && ended.output.isEmpty && ended.errors.hasPrefix("bongsu: invalid parameter"))
    #expect(ended.errors.hasSuffix(shown), "\(ended.errors)")
  }

  @Test("a failure without a place is one line")
  func execution() async throws {
    let ended = try await Self.ask(["query", "label_replace(bongsu_gpu_power_watts, \"node\", \"\", \"\", \"[\")"])
    #expect(ended.status == 1 && ended.errors.split(separator: "\n").count == 1 && ended.errors.contains("(execution)"))
  }

  @Test("a graph into a pipe has axes with units, a letter for each series, and their figures")
  func graph() async throws {
    let ended = try await Self.ask([
      "graph", "bongsu_gpu_power_watts", "--start", "1795253400", "--end", "1795253460", "--width", "60", "--height",
      "8",
    ])
    let lines = ended.output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    #expect(ended.status == 0 && lines[0] == "bongsu_gpu_power_watts")
    #expect(lines[1].hasPrefix("1.5 kW +") && lines[8].hasPrefix("0.0 kW +"), "\(ended.output)")
    #expect(lines[1...8].contains { $0.contains("bbbbbbbb") } && lines[1...8].contains { $0.contains("aaaaaaaa") })
    #expect(lines[10].contains("09:30:30") && lines.allSatisfy { $0.count <= 100 })
    #expect(lines[11].hasPrefix("  SERIES") && lines[12].hasPrefix("a {gpu=\"1\"}  1.250 kW  1.250 kW  1.250 kW"))
    #expect(lines[13] == "b {gpu=\"0\"}   460.0 W   400.0 W   430.0 W   460.0 W")
    #expect(ended.output.hasSuffix("2026-11-21T09:30:00Z to 2026-11-21T09:31:00Z, every 1 s\n"))
    let one = try await Self.ask([
      "graph", "bongsu_gpu_power_watts", "--limit", "1", "--start", "1795253400", "--end", "1795253460",
    ])
    #expect(one.output.contains("1 of 2 series, the largest by mean"))
    let none = try await Self.ask(["graph", "nothing"])
    #expect(none.status == 0 && none.output.contains("no series in "))
  }

  @Test("series and labels list what there is, and say beside the list that there is more")
  func listings() async throws {
    let span = ["--start", "1795253400", "--end", "1795253460"]
    let series = try await Self.ask(["series", "bongsu_gpu_power_watts", "--limit", "1"] + span)
    #expect(series.output == "bongsu_gpu_power_watts{gpu=\"0\", hall=\"가?[31m\", node=\"r1\"}\n")
    #expect(series.errors == "the first 1 series, --limit shows more\n")
    let names = try await Self.ask(["labels"] + span)
    #expect(names.output == "__name__\ngpu\nhall\nnode\n" && names.errors.isEmpty)
    let values = try await Self.ask(["labels", "gpu", "--match", "{node=\"r1\"}", "--format", "csv"] + span)
    #expect(values.output == "gpu\r\n0\r\n1\r\n")
    let wrong = try await Self.ask(["series", "x", "y{a=}"] + span)
    #expect(wrong.status == 1 && wrong.errors.hasSuffix("  y{a=}\n      ^\n"), "\(wrong.errors)")
  }
}
