import BongsuModel
import BongsuTestKit
import Testing

@testable import BongsuDevices

@Suite("replay source")
struct ReplaySourceTests {
  private static let header = "run,node,gpu,t_ms,power_w,temp_c\n"
  private static let start: Int64 = 1_790_000_000_000

  private func source(_ rows: String, _ change: (inout ReplayOptions) -> Void = { _ in }) throws -> ReplaySource {
    let folder = try TemporaryDirectory()
    var options = ReplayOptions(file: try temporaryFile(Self.header + rows, in: folder))
    change(&options)
    return try ReplaySource(options)
  }

  private func read(_ source: ReplaySource, milliseconds: Int64) -> SourceReading {
    SourceReading(source, source.discover(), at: Tick(unixMilliseconds: Self.start + milliseconds))
  }

  @Test("a tick gets the last value at or before it, and none before the first or long after the last")
  func lastValue() throws {
    let source = try source("a,n,0,5000,100,40\na,n,0,6500,200,\na,n,1,5400,50,30\na,n,1,20000,60,31\n")
    let first = read(source, milliseconds: 0)
    #expect(first(.gpuPower, 0).reading == 100_000)
    #expect(first(.gpuPower, 1).isAbsent)
    #expect(read(source, milliseconds: 1000)(.gpuPower, 1).reading == 50_000)
    #expect(read(source, milliseconds: 1499)(.gpuPower, 0).reading == 100_000)
    #expect(read(source, milliseconds: 1500)(.gpuPower, 0).reading == 200_000)
    #expect(read(source, milliseconds: 1500)(.gpuTemperature, 0).reading == 400)
    #expect(read(source, milliseconds: 10_400)(.gpuPower, 1).reading == 50_000)
    #expect(read(source, milliseconds: 10_401)(.gpuPower, 1).isAbsent)
    #expect(read(source, milliseconds: 15_000)(.gpuPower, 1).reading == 60_000)
  }

  @Test("energy is the exact integral of the recorded power as it is held, in millijoules")
  func energy() throws {
    // 100.001 W for 300 ms, 250 W for 700 ms, then 40 W for 10 s at most.
    let source = try source("a,n,0,1000,100.001,1\na,n,0,1300,250,1\na,n,0,2000,40,1\na,n,0,30000,1,1\n")
    func energy(_ milliseconds: Int64) -> Int64? { read(source, milliseconds: milliseconds)(.gpuEnergy).reading }
    #expect(energy(0) == 0)
    #expect(energy(300) == 30_000)
    // 30,000.3 and 175,000 mJ, then 40 mJ a millisecond, cut to whole millijoules.
    #expect(energy(1000) == 205_000)
    #expect(energy(3000) == 285_000)
    #expect(energy(12_000) == nil)
    #expect(energy(29_000) == 605_000)
  }

  @Test("faster replay shows the power of later times, and energy that fits the power shown", arguments: [1, 4, 10])
  func speed(speed: Int) throws {
    let rows = (0...100).map { "a,n,0,\($0 * 100),\($0),1\n" }.joined()
    let source = try source(rows) { $0.speed = speed }
    var before: (power: Int64, energy: Int64)?
    for tick in stride(from: Int64(0), through: Int64(10_000 / speed), by: 100) {
      let reading = read(source, milliseconds: tick)
      let power = try #require(reading(.gpuPower).reading)
      let energy = try #require(reading(.gpuEnergy).reading)
      #expect(power == tick * Int64(speed) / 100 * 1000)
      if let before {
        // Between two ticks power lies between both values, and so does energy by time.
        #expect((before.power * 100 / 1000 - 1...power * 100 / 1000 + 1).contains(energy - before.energy))
      }
      before = (power, energy)
    }
  }

  @Test("a loop starts again after the last sample has lasted as long as samples do, and energy goes on")
  func loop() throws {
    let source = try source("a,n,0,0,10,1\na,n,0,1000,20,1\na,n,0,2000,30,1\n") { $0.loops = true }
    var energy: [Int64] = []
    var power: [Int64] = []
    for second in 0..<10 {
      let reading = read(source, milliseconds: Int64(second) * 1000)
      power.append(try #require(reading(.gpuPower).reading) / 1000)
      energy.append(try #require(reading(.gpuEnergy).reading) / 1000)
    }
    #expect(power == [10, 20, 30, 10, 20, 30, 10, 20, 30, 10])
    #expect(energy == [0, 10, 30, 60, 70, 90, 120, 130, 150, 180])
    #expect(source.condition.word == "available")
  }

  @Test("months of a fast loop neither overflow nor lose the counter's exactness")
  func longLoop() throws {
    let rows = (0...100).map { "a,n,0,\($0 * 10),100000,1\n" }.joined()
    let source = try source(rows) { options in
      options.loops = true
      options.speed = 1000
    }
    _ = read(source, milliseconds: 0)
    // 100 kW for 200 days: 1.728e15 mJ, from 1.7 million million microjoules a round.
    let day: Int64 = 86_400_000
    #expect(read(source, milliseconds: 200 * day)(.gpuEnergy).reading == 100_000 * 200 * day)
  }

  @Test("without loop it ends: readings are absent and it says how to repeat it")
  func ends() throws {
    let source = try source("a,n,0,0,10,1\na,n,0,1000,20,1\n")
    _ = read(source, milliseconds: 0)
    #expect(!read(source, milliseconds: 1999).isAllAbsent)
    #expect(read(source, milliseconds: 2000).isAllAbsent)
    #expect(source.condition.word == "unavailable")
    #expect(source.condition.description.hasSuffix("has ended; add ,loop to repeat it"))
  }

  @Test("a recorded energy counter is used as it is")
  func recordedEnergy() throws {
    let folder = try TemporaryDirectory()
    let path = try temporaryFile(
      "run,node,gpu,t_ms,power_w,energy_mj\na,n,0,0,10,5000\na,n,0,1000,20,15001\n", in: folder)
    let source = try ReplaySource(ReplayOptions(file: path))
    _ = read(source, milliseconds: 0)
    #expect(read(source, milliseconds: 1000)(.gpuEnergy).reading == 15_001)
  }

  @Test("keys tell replayed GPUs apart, and from those of other nodes where asked")
  func keys() throws {
    let rows = "a,n,0,0,10,1\na,n,3,0,20,1\n"
    #expect(try source(rows).discover().devices.map(\.key) == ["REPLAY-a-n-0", "REPLAY-a-n-3"])
    #expect(try source(rows) { $0.key = "r7" }.discover().devices.map(\.key) == ["REPLAY-r7-0", "REPLAY-r7-3"])
    #expect(try source(rows) { $0.model = "H100" }.discover().devices.map(\.model) == ["H100", "H100"])
  }

  @Test("the run that comes with the product replays its real watts: at each second the last row at or before it")
  func shippedTrace() throws {
    let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    let path = root + "/ops/traces/nanogpt-8gpu.csv"
    var options = ReplayOptions(file: path)
    options.loops = true
    let source = try ReplaySource(options)
    #expect(source.condition.description.hasPrefix("recording nanogpt-a of node n0, 8 GPUs, 448 s"))
    // The first row of the file, read by eye: nanogpt-a,n0,0,1758682623946,390.78,100,42.
    let first = read(source, milliseconds: 0)
    #expect(first(.gpuPower, 0).reading == 390_780)
    #expect(first(.gpuUtilization, 0).reading == 1000)
    #expect(first(.gpuTemperature, 0).reading == 420)
    // And by awk for every GPU at second 100.
    let begin: Int64 = 1_758_682_623_946
    let command = """
      awk -F, 'NR > 1 && $4 <= \(begin + 100_000) { watts[$3] = $5 } \
      END { for (gpu = 0; gpu < 8; gpu++) print watts[gpu] }' '\(path)'
      """
    let expected = try #require(shellOutput(command)).split(separator: "\n").map { text in
      let bytes = Array(text.utf8)
      return Fields.fixedPoint(bytes.span, 0..<bytes.count, decimals: 3)
    }
    let reading = read(source, milliseconds: 100_000)
    #expect((0..<8).map { reading(.gpuPower, $0).reading } == expected)
    #expect(expected.count == 8 && expected.allSatisfy { $0 != nil })
  }
}
