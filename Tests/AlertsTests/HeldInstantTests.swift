import BongsuQuery
import BongsuSeries
import Synchronization
import Testing

@testable import BongsuAlerts

@Suite("Held instant")
struct HeldInstantTests {
  /// GPUs whose power is the number of times that anybody has read, as if each reading took so long that a tick passed.
  private final class Moving: SeriesSource {
    let reads = Mutex(0)
    let isBroken: Bool

    init(isBroken: Bool = false) { self.isBroken = isBroken }

    func visitSeries(_ selection: SeriesSelection, _ visit: (LabelSet, SampleBuffer) throws -> Void) throws {
      let turn = reads.withLock { reads in
        reads += 1
        return reads
      }
      if isBroken { throw SeriesSourceError.unavailable("not now") }
      for gpu in 0..<3 {
        let labels = LabelSet(metricName: "watts", labels: [Label(name: "gpu", value: "\(gpu)")])
        guard selection.matchers.allSatisfy({ $0.matches(labels) }) else { continue }
        var buffer = SampleBuffer()
        buffer.append(timestamp: selection.endMilliseconds - Int64(gpu) * 100_000, value: Double(turn))
        try visit(labels, buffer)
      }
    }

    func labelSets(
      matchingAnyOf selections: [[LabelMatcher]], from startMilliseconds: Int64, through endMilliseconds: Int64
    ) throws -> [LabelSet] { [] }
  }

  private static let time: Int64 = 1_000_000

  private static func rules(_ expressions: String...) throws -> [Rule] {
    let lines = expressions.enumerated().map { "      - {record: 'r\($0)', expr: '\($1)'}" }
    let yaml = "groups:\n  - name: g\n    rules:\n" + lines.joined(separator: "\n")
    return try RuleFile.parse(yaml, path: "rules.yaml").get().groups[0].rules
  }

  private static func held(_ rules: [Rule], _ source: Moving) -> RuleSource {
    RuleSource(live: TickSeries(), written: RuleSeries(), others: source).holding(rules, at: time)
  }

  private static func answer(_ query: String, _ source: RuleSource, at time: Int64 = time) throws -> [String] {
    let result = try QueryEngine().instant(query, at: time, over: source)
    guard case .vector(let samples) = result else { return ["\(result)"] }
    return samples.map { "\($0.labels["gpu"])=\(Int($0.value))" }.sorted()
  }

  @Test("rules that come later see what the first one sees, however long each takes")
  func oneInstant() throws {
    let source = Moving()
    let rules = try Self.rules("watts > 0", #"sum(watts{gpu="1"})"#, "watts")
    let held = Self.held(rules, source)
    // One reading for each selector that differs.
    #expect(source.reads.withLock { $0 } == 2)
    for _ in 0..<3 {
      #expect(try Self.answer("watts > 0", held) == ["0=1", "1=1", "2=1"])
      #expect(try Self.answer(#"watts{gpu="1"}"#, held) == ["1=1"])
    }
    #expect(source.reads.withLock { $0 } == 2)
  }

  @Test("what is asked of another time, over a range or with an offset is read from the source")
  func others() throws {
    let source = Moving()
    let held = Self.held(try Self.rules("watts", "watts offset 1m", "watts @ 5", "rate(watts[1m])"), source)
    #expect(source.reads.withLock { $0 } == 1)
    #expect(try Self.answer("watts", held) == ["0=1", "1=1", "2=1"])
    #expect(try Self.answer("watts offset 1m", held) == ["0=2", "1=2", "2=2"])
    #expect(try Self.answer("watts @ 5", held) == ["0=3", "1=3", "2=3"])
    #expect(try Self.answer("count_over_time(watts[1m])", held) == ["0=1"])
    #expect(try Self.answer("watts", held, at: Self.time + 1) == ["0=5", "1=5", "2=5"])
    #expect(try Self.answer("other", held) == [])
  }

  @Test("a narrower selector is answered from what is held by a wider one")
  func narrower() throws {
    let source = Moving()
    let held = Self.held(try Self.rules("watts"), source)
    #expect(try Self.answer(#"watts{gpu=~"[12]"}"#, held) == ["1=1", "2=1"])
    #expect(source.reads.withLock { $0 } == 1)
  }

  @Test("a source that cannot answer is asked again by each rule, which is told why")
  func broken() throws {
    let source = Moving(isBroken: true)
    let held = Self.held(try Self.rules("watts"), source)
    #expect(throws: (any Error).self) { try Self.answer("watts", held) }
    #expect(source.reads.withLock { $0 } == 2)
  }
}
