import BongsuFleet
import BongsuModel
import BongsuRollup
import Testing

@Suite("Power functions")
struct PowerFunctionsTests {
  /// The three H100 nodes of `east/b`, of 8 GPUs each, and functions behind them.
  final class Hall {
    let plan = RollupPlan(SmallFleet.tree)
    var shard: ShardRollup
    var levels: LevelRollup
    var functions: PowerFunctions
    let layout = RowLayout.node(gpus: 8)
    let members: [MemberNumber]
    var step = 0

    init() {
      shard = ShardRollup(plan, first: SmallFleet.start, keepsSketches: false)
      levels = LevelRollup(plan)
      functions = PowerFunctions(plan)
      var members: [MemberNumber] = []
      for name in ["east-b-r1-n1", "east-b-r1-n2", "east-b-r1-n3"] {
        members.append(shard.join(NodeID(name)!, layout: layout))
      }
      self.members = members
    }

    /// One tick; `milliwatts` per GPU of each node, `nil` for a silent node. `reasons`: clock event bits of every GPU.
    func tick(_ milliwatts: [Int64?], gpus: Int = 8, reasons: Int64 = 0, times: Int = 1) {
      for _ in 0..<times {
        let tick = SmallFleet.start.advanced(by: step, of: .second)
        step += 1
        for (member, power) in zip(members, milliwatts) {
          guard let power else { continue }
          var row = [Int64](repeating: SampleValue.absent.bits, count: layout.width)
          for place in layout.range(of: layout.column(of: .gpuPower)!).prefix(gpus) { row[place] = power }
          for place in layout.range(of: layout.column(of: .gpuClockEventReasons)!).prefix(gpus) { row[place] = reasons }
          #expect(shard.add(member, at: tick, row: row.span) == .added)
        }
        var frame = LeafFrame(tick: tick)
        shard.close(into: &frame)
        functions.take(levels.close([frame]))
      }
    }

    func value(_ function: PowerFunctions.Function, _ level: RollupLevel, _ group: Int? = nil) -> Double? {
      functions.values(function, level)[group ?? SmallFleet.hall]
    }
  }

  private static let factory = 0

  @Test("a change is told after its span, in watts and per second, and not before")
  func changes() {
    let hall = Hall()
    hall.tick([300_000, 300_000, 300_000], times: 10)
    #expect(hall.value(.change10s, .hall) == nil)
    hall.tick([300_000, 300_000, 300_000])
    #expect(hall.value(.change10s, .hall) == 0)
    hall.tick([360_000, 300_000, 300_000])
    // 8 GPUs with 60 W more are 480 W, of 55 % of the node.
    let rise = hall.value(.change10s, .hall) ?? 0
    #expect(abs(rise - 480 / 0.55) < 0.01)
    #expect(abs((hall.value(.ramp10s, .hall) ?? 0) - rise / 10) < 0.001)
    // The site's meter has a PUE of 1.25 while nothing reads it.
    #expect(abs((hall.value(.change10s, .factory, Self.factory) ?? 0) - rise * 1.25) < 0.01)
    #expect(hall.value(.change60s, .hall) == nil)
    hall.tick([360_000, 300_000, 300_000], times: 60)
    #expect(hall.value(.change60s, .hall) == 0)
  }

  @Test("agents that come for the first time are no change of power; ten seconds later changes are told")
  func newcomers() {
    let hall = Hall()
    hall.tick([300_000, nil, nil], times: 11)
    #expect(hall.value(.change10s, .hall) == 0)
    hall.tick([300_000, 300_000, 300_000])
    #expect(hall.value(.change10s, .hall) == nil)
    #expect(hall.value(.lostRatio, .hall) == nil)
    hall.tick([300_000, 300_000, 300_000], times: 9)
    #expect(hall.value(.change10s, .hall) == nil)
    hall.tick([300_000, 300_000, 300_000])
    #expect(hall.value(.change10s, .hall) == 0)
  }

  @Test("power that stops is a loss, agents that vanish are none but are told with their last power")
  func losses() {
    let hall = Hall()
    hall.tick([300_000, 300_000, 300_000], times: 12)
    hall.tick([100_000, 300_000, 300_000])
    #expect(abs((hall.value(.lostRatio, .hall) ?? 0) - 2.0 / 9) < 0.001)
    #expect(hall.value(.vanishedRatio, .hall) == 0)
    hall.tick([300_000, 300_000, 300_000], times: 12)
    hall.tick([nil, 300_000, 300_000], times: 2)
    #expect(hall.value(.lostRatio, .hall) == 0)
    #expect(abs((hall.value(.vanishedRatio, .hall) ?? 0) - 1.0 / 3) < 0.001)
    #expect(abs((hall.value(.vanishedPower, .hall) ?? 0) - 2400 / 0.55) < 0.01)
    hall.tick([nil, 300_000, 300_000], times: 12)
    #expect(hall.value(.vanishedRatio, .hall) == 0)
    #expect(hall.value(.vanishedPower, .hall) == 0)
  }

  @Test("GPUs that a reporting node lost are told apart from silent nodes")
  func lostGPUs() {
    let hall = Hall()
    let rack = SmallFleet.tree.halls[SmallFleet.hall].racks.lowerBound
    hall.tick([300_000, 300_000, 300_000])
    #expect(hall.value(.lostGPUs, .rack, rack) == 0)
    hall.tick([nil, 300_000, 300_000])
    #expect(hall.value(.lostGPUs, .rack, rack) == 0)
    hall.tick([300_000, 300_000, 300_000], gpus: 7)
    #expect(hall.value(.lostGPUs, .rack, rack) == 3)
  }

  @Test("the share at the power cap is of the GPUs that report")
  func capped() {
    let hall = Hall()
    hall.tick([300_000, nil, nil], reasons: 4)
    #expect(hall.value(.cappedRatio, .hall) == 1)
    hall.tick([300_000, nil, nil])
    #expect(hall.value(.cappedRatio, .hall) == 0)
  }

  @Test("the quarter-hour's age counts by the meter's clock, and its end belongs to it")
  func elapsed() {
    let hall = Hall()
    hall.tick([300_000, nil, nil])
    #expect(hall.functions.values(.demandElapsed, .meter) == [900, 900])
    hall.tick([300_000, nil, nil])
    #expect(hall.functions.values(.demandElapsed, .meter) == [1, 1])
  }

  @Test("stranded power is told after an hour: contract less what is drawn nearly all the time")
  func stranded() {
    let hall = Hall()
    hall.tick([300_000, 300_000, 300_000], times: 3600)
    #expect(hall.functions.values(.strandedPower, .meter)[0] == nil)
    hall.tick([300_000, 300_000, 300_000], times: 61)
    let drawn = 3 * 2400 / 0.55 * 1.25
    let stranded = hall.functions.values(.strandedPower, .meter)[0] ?? 0
    #expect(abs(stranded - (1_000_000 - drawn)) < 1)
  }

  @Test("limits of the fleet file become series with levels to raise and to clear at; no limit, no series")
  func thresholds() throws {
    let families = Dictionary(
      uniqueKeysWithValues: PowerThresholds.families(RollupPlan(SmallFleet.tree)).map { ($0.name, $0.series) })
    let warn = try #require(families["meter:bongsu_contract_power_watts:warn"])
    #expect(warn.map(\.value) == [900_000, 450_000])
    #expect(warn[0].labels.map(\.value) == ["test", "east", "east"])
    #expect(families["meter:bongsu_contract_power_watts:warn_clear"]?.map(\.value) == [850_000, 425_000])
    #expect(families["meter:bongsu_contract_power_watts:critical"]?.map(\.value) == [970_000, 485_000])
    #expect(families["meter:bongsu_contract_power_watts:critical_clear"]?.map(\.value) == [920_000, 460_000])
    #expect(families["rack:bongsu_power_limit_watts:warn"]?.isEmpty == true)
    #expect(families["factory:bongsu_power_change_limit_watts:10s"]?.isEmpty == true)
    #expect(families["rack:bongsu_gpu_idle_watts:typical"]?.map(\.value) == [200, 200, 69, 166])
  }
}

extension SmallFleet {
  /// Position of `east/b`.
  static let hall = tree.halls.firstIndex { $0.id == "b" && tree[$0.factory].id == "east" }!
}
