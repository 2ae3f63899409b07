import BongsuDevices
import BongsuModel
import BongsuTestKit
import Testing

@testable import bongsu_fleet

@Suite("The course of a simulated node")
struct NodeCourseTests {
  /// Rows of one node at one tick a second, and the same rows undisturbed.
  private struct Rows {
    var node: SimulatedNode
    var course: NodeCourse
    let start: Int64 = 1_800_000_000_000

    init(_ instructions: [ScenarioPlan.Instruction], workload: SimulatedWorkload = .training) {
      let model = GPUModel.model("H100") ?? GPUModel.all[0]
      var configuration = SimulatedNode.Configuration(model: model, seed: 7, jobSeed: 9, workload: workload)
      configuration.hasMeter = true
      node = SimulatedNode(configuration)
      course = NodeCourse(instructions)
    }

    mutating func row(_ second: Int64) -> (changed: [Int64], plain: [Int64]) {
      var plain = [Int64](repeating: 0, count: node.width)
      var span = plain.mutableSpan
      node.fill(Tick(unixMilliseconds: start + second * 1000), interval: .second, into: &span)
      var changed = plain
      course.advance(to: second * 1000) { _ in }
      var target = changed.mutableSpan
      course.changeReadings(&target, node.configuration, at: second * 1000, intervalMilliseconds: 1000)
      return (changed, plain)
    }
  }

  @Test("power moves in a straight line, and counters and meter go with it for ever after")
  func power() {
    var rows = Rows([
      .init(atMilliseconds: 10_000, action: .power(permille: 1200, over: 5000)),
      .init(atMilliseconds: 30_000, action: .normal(over: 0)),
    ])
    let count = rows.node.configuration.gpuCount
    var last: [Int64]?
    for second in Int64(1)...40 {
      let (changed, plain) = rows.row(second)
      let factor = second <= 10 || second >= 30 ? 1 : min(1.2, 1 + 0.04 * Double(second - 10))
      for gpu in 0..<count {
        #expect(abs(Double(changed[gpu]) - Double(plain[gpu]) * factor) <= 1, "at \(second) s")
        #expect(changed[count + gpu] <= changed[gpu] && changed[gpu] <= changed[2 * count + gpu])
        if let last {
          // The counter's step is the mean power of the second, to the millijoule.
          let joules = changed[4 * count + gpu] - last[4 * count + gpu]
          #expect(abs(joules - changed[gpu]) <= 2, "at \(second) s")
        }
      }
      let total = changed[0..<count].reduce(0, +)
      let meter = rows.node.configuration.model.estimatedNodeMilliwatts(gpuMilliwatts: total)
      #expect(abs(changed[14 * count] - meter) <= 2)
      last = changed
    }
  }

  @Test("a ramp leads an idle GPU to where it is told, with its utilization, and back to the job")
  func ramp() {
    var rows = Rows(
      [
        .init(atMilliseconds: 5000, action: .ramp(toPermille: 900, over: 10_000)),
        .init(atMilliseconds: 20_000, action: .ramp(toPermille: 500, over: 0)),
        .init(atMilliseconds: 25_000, action: .normal(over: 0)),
      ], workload: .idle)
    let model = rows.node.configuration.model
    func level(_ permille: Int64) -> Int64 {
      Int64(model.idleWatts) * 1000 + Int64(model.powerLimitWatts - model.idleWatts) * permille
    }
    let count = rows.node.configuration.gpuCount
    for second in Int64(1)...27 {
      let (changed, plain) = rows.row(second)
      switch second {
      case 1...5, 25...: #expect(changed[0] == plain[0] && changed[5 * count] == plain[5 * count])
      case 15..<20: #expect(abs(changed[0] - level(900)) <= 1 && changed[5 * count] == 1000)
      case 20..<25: #expect(abs(changed[0] - level(500)) <= 1)
      default: #expect(changed[0] > plain[0] && changed[0] < level(900))
      }
    }
  }

  @Test("GPUs that fail are absent in every column, and nothing of the others changes")
  func failedGPUs() {
    var rows = Rows([
      .init(atMilliseconds: 3000, action: .failGPUs(0b101)), .init(atMilliseconds: 6000, action: .healGPUs(.max)),
    ])
    let count = rows.node.configuration.gpuCount
    for second in Int64(1)...8 {
      let (changed, plain) = rows.row(second)
      for position in 0..<14 * count {
        let isFailed = (3..<6).contains(second) && [0, 2].contains(position % count)
        #expect(changed[position] == (isFailed ? SampleValue.absent.bits : plain[position]))
      }
    }
  }

  @Test("what is due happens once, in order, also when it is asked for late")
  func order() {
    var course = NodeCourse([
      .init(atMilliseconds: 0, action: .clock(offset: 90_000)), .init(atMilliseconds: 1000, action: .vanish),
      .init(atMilliseconds: 1000, action: .vanish), .init(atMilliseconds: 2000, action: .comeBack),
      .init(atMilliseconds: 3000, action: .loseNetwork), .init(atMilliseconds: 4000, action: .breakConnection),
      .init(atMilliseconds: 5000, action: .regainNetwork),
    ])
    var steps: [NodeCourse.Step] = []
    course.advance(to: 500) { steps.append($0) }
    #expect(steps.isEmpty && course.clockOffset == 90_000)
    course.advance(to: 1500) { steps.append($0) }
    #expect(steps == [.vanish] && !course.isRunning)
    course.advance(to: 4500) { steps.append($0) }
    #expect(steps == [.vanish, .comeBack, .loseNetwork, .breakConnection] && course.isRunning && !course.hasNetwork)
    course.advance(to: 60_000) { steps.append($0) }
    #expect(steps.last == .regainNetwork && course.hasNetwork)
    let count = steps.count
    course.advance(to: 90_000) { steps.append($0) }
    #expect(steps.count == count)
  }

  @Test("random outages take the share they should and last as long as they should")
  func outages() {
    var downMinutes = 0.0
    for seed in 0..<200 {
      let outages = RandomOutages(
        perHundredThousandAndMinute: 5000, downMilliseconds: 30_000, seed: UInt64(seed) &* 0x9E37_79B9)
      for second in 0..<600 where outages.isDown(at: Int64(second) * 1000) { downMinutes += 1 / 60 }
    }
    // 200 nodes × 10 minutes × 5 % × half a minute = 50 minutes.
    #expect((35.0...65.0).contains(downMinutes), "\(downMinutes)")
    #expect(!RandomOutages(perHundredThousandAndMinute: 0).isDown(at: 5))
  }

  @Test("latencies are counted once for each acknowledged row")
  func latencies() {
    var latency = AckLatency()
    #expect(latency.milliseconds(percentile: 50) == nil && latency.longest == nil)
    var rows = AwaitedRows()
    for number in UInt64(1)...1000 { rows.append(number, boottime: Int64(number)) }
    var seen = 0
    for floor in [UInt64(0), 10, 10, 700, 1000, 2000] {
      rows.release(through: floor) {
        seen += 1
        latency.record(milliseconds: 2000 - $0)
      }
    }
    #expect(seen == 1000)
    #expect(latency.longest == 1999 || latency.longest == 2000)
    let median = Double(latency.milliseconds(percentile: 50) ?? 0)
    #expect(abs(median - 1500) < 5)
    var other = AckLatency()
    other.record(milliseconds: -5)
    other.record(milliseconds: .max)
    other.add(latency)
    #expect(other.longest ?? 0 >= AckLatency.longestMilliseconds)
  }
}
