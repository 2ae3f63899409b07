import BongsuDevices
import BongsuModel
import Testing

@testable import BongsuSampling

@Suite("tick sources", .serialized)
struct TickSourceTests {
  private static let wall: Int64 = 1_767_225_600_300_000_000

  private func instant(_ milliseconds: Int64, step: Int64 = 0) -> ClockInstant {
    ClockInstant(
      wallNanoseconds: Self.wall + (milliseconds + step) * 1_000_000,
      boottimeNanoseconds: 5_000_000_000 + milliseconds * 1_000_000)
  }

  @Test(
    "the wall clock's ticks are whole intervals, each once, from the next one on", arguments: [20, 100, 1000, 10_000])
  func aligned(milliseconds: Int) throws {
    let source = WallTickSource(interval: try #require(TickInterval(milliseconds: milliseconds)))
    var ticks: [SampleStamp] = []
    for now in stride(from: Int64(0), to: 60_000, by: 7) {
      #expect(source.nanosecondsToNextTick(at: instant(now)) > 0)
      if let stamp = source.dueTick(at: instant(now)) { ticks.append(stamp) }
    }
    #expect(ticks.count >= 60_000 / milliseconds - 1)
    for (earlier, later) in zip(ticks, ticks.dropFirst()) {
      #expect(later.tick.unixMilliseconds - earlier.tick.unixMilliseconds == Int64(milliseconds))
      #expect(later.boottimeMilliseconds - earlier.boottimeMilliseconds == Int64(milliseconds))
    }
    let first = try #require(ticks.first)
    #expect(first.tick.unixMilliseconds * 1_000_000 > Self.wall)
    #expect(first.tick.unixMilliseconds - Self.wall / 1_000_000 == first.boottimeMilliseconds - 5000)
  }

  @Test("a wall clock that steps back repeats no tick")
  func stepBack() {
    let source = WallTickSource(interval: .second)
    var ticks: [Tick] = []
    for now in stride(from: Int64(0), to: 60_000, by: 50) {
      if let stamp = source.dueTick(at: instant(now, step: now > 20_000 ? -10_000 : 0)) { ticks.append(stamp.tick) }
    }
    for (earlier, later) in zip(ticks, ticks.dropFirst()) { #expect(later > earlier) }
    #expect(ticks.count >= 48)
  }

  /// Gives the ticks it is told to, each as soon as it is asked.
  private final class ScriptedTicks: TickSource {
    let stamps: Guarded<[SampleStamp]>
    init(_ stamps: [SampleStamp]) { self.stamps = Guarded(stamps.reversed()) }
    func dueTick(at instant: ClockInstant) -> SampleStamp? { stamps.withLock { $0.popLast() } }
    func nanosecondsToNextTick(at instant: ClockInstant) -> Int64 { 1_000_000_000_000 }
  }

  @Test("ticks that passed without a row are counted by time since boot and said; a step of the labels misses none")
  func missed() throws {
    let interval = try #require(TickInterval(milliseconds: 50))
    let hour: Int64 = 3_600_000
    let stamps: [(Int64, Int64)] = [
      (1000, 100), (1050, 150), (1100 + hour, 200), (1150 + hour, 250), (1350 + hour, 450), (1400 + hour, 501),
    ]
    let ticks = ScriptedTicks(
      stamps.map { SampleStamp(tick: Tick(unixMilliseconds: $0.0), boottimeMilliseconds: $0.1, flags: 7) })
    let sink = CollectingSink()
    let sampler = Sampler(SourceSet([]), interval: interval, ticks: ticks, sink: sink)
    sampler.start()
    #expect(sink.wait { $0.rows.count == stamps.count })
    sampler.stop()
    let contents = sink.snapshot
    #expect(contents.events == [.missedTicks(3)])
    #expect(contents.rows.map { $0.value(.agentMissedTicks).reading } == [0, 0, 0, 0, 3, 3])
    #expect(contents.rows.map(\.tick.unixMilliseconds) == stamps.map(\.0))
    #expect(contents.rows.allSatisfy { $0.flags == 7 })
  }
}
