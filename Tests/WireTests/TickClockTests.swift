import BongsuModel
import BongsuTestKit
import Testing

@testable import BongsuWire

@Suite("The tick clock")
struct TickClockTests {
  /// A node's clocks: boot time runs, the wall is off by `error`.
  private struct Clocks {
    var boottime: Int64 = 10_000
    /// True time less boot time.
    let origin: Int64 = 1_800_000_000_000
    var error: Int64 = 0
    var reading: ClockReading {
      ClockReading(unixMilliseconds: origin + boottime + error, boottimeMilliseconds: boottime)
    }
    var trueUnix: Int64 { origin + boottime }
  }

  /// Lets time pass and returns the stamps that fell due.
  private func pass(_ milliseconds: Int64, _ clocks: inout Clocks, _ clock: inout TickClock) -> [TickStamp] {
    var stamps: [TickStamp] = []
    for _ in 0..<(milliseconds / 10) {
      clocks.boottime += 10
      if let stamp = clock.dueTick(clocks.reading) { stamps.append(stamp) }
    }
    return stamps
  }

  private func answer(_ clocks: Clocks, _ clock: inout TickClock) -> Bool {
    clock.compare(
      serverUnixMilliseconds: clocks.trueUnix, sentBoottimeMilliseconds: clocks.boottime, reading: clocks.reading)
  }

  @Test("each tick is given once, in order, and late asking passes over what was missed")
  func onceEach() {
    var clocks = Clocks()
    var clock = TickClock(interval: .second, reading: clocks.reading, anchor: nil, lastTick: nil)
    let stamps = pass(5000, &clocks, &clock)
    #expect(stamps.map(\.tick.unixMilliseconds) == (0...5).map { clocks.origin + 10_000 + $0 * 1000 })
    clocks.boottime += 4500
    #expect(clock.dueTick(clocks.reading)?.tick.unixMilliseconds == clocks.origin + 19_000)
    #expect(clock.dueTick(clocks.reading) == nil)
    #expect(clock.millisecondsToNextTick(clocks.reading) == 500)
  }

  @Test("a node that booted in 1970 gets true labels for all its ticks once an aggregator answers")
  func bootIn1970() {
    var clocks = Clocks(error: -1_800_000_000_000)
    var clock = TickClock(interval: .second, reading: clocks.reading, anchor: nil, lastTick: nil)
    var stamps = pass(20_000, &clocks, &clock)
    clocks.error = 0
    stamps += pass(10_000, &clocks, &clock)
    #expect(stamps.allSatisfy { $0.isProvisional })
    #expect(answer(clocks, &clock))
    let anchor = clock.anchorMilliseconds ?? 0
    var labels = stamps.map {
      TickClock.finalTick(
        boottimeMilliseconds: $0.boottimeMilliseconds, anchor: anchor, interval: .second
      ).unixMilliseconds
    }
    labels += pass(5000, &clocks, &clock).map(\.tick.unixMilliseconds)
    #expect(zip(labels, labels.dropFirst()).allSatisfy { $1 - $0 == 1000 || $1 - $0 == 2000 })
    #expect(labels.count >= 34)
    for (stamp, label) in zip(stamps, labels) {
      #expect(abs(label - (clocks.origin + stamp.boottimeMilliseconds)) <= 1000)
    }
  }

  @Test("an anchor read a millisecond apart moves no label", arguments: [-250, -1, 0, 1, 250] as [Int64])
  func truncatedAnchor(error: Int64) {
    // An earlier run of this boot sampled by its own reading of the offset, this one fixes the anchor.
    let origin: Int64 = 1_800_000_000_000
    for second: Int64 in 10...20 {
      let label = TickClock.finalTick(boottimeMilliseconds: second * 1000, anchor: origin + error, interval: .second)
      #expect(label.unixMilliseconds == origin + second * 1000)
    }
  }

  @Test("whatever the wall clock does, no two samples get one label and none is far from the truth", arguments: 0..<40)
  func stepsNeverRepeat(round: Int) {
    var random = SeededRandom(seed: UInt64(round))
    var clocks = Clocks()
    var clock = TickClock(interval: .second, reading: clocks.reading, anchor: nil, lastTick: nil)
    var stamps: [TickStamp] = []
    let answersAt = Int.random(in: 0..<30, using: &random)
    for step in 0..<60 {
      if Int.random(in: 0..<4, using: &random) == 0 {
        clocks.error = [0, 1500, -1500, 200, -700, 90_000, -90_000, 31_536_000_000].randomElement(using: &random)!
      }
      stamps += pass(Int64.random(in: 200...4000, using: &random), &clocks, &clock)
      if step >= answersAt { _ = answer(clocks, &clock) }
    }
    let anchor = clock.anchorMilliseconds ?? 0
    let labels = stamps.map { stamp in
      stamp.isProvisional
        ? TickClock.finalTick(boottimeMilliseconds: stamp.boottimeMilliseconds, anchor: anchor, interval: .second)
        : stamp.tick
    }
    #expect(zip(labels, labels.dropFirst()).allSatisfy { $0 < $1 }, "round \(round)")
    for (stamp, label) in zip(stamps, labels) {
      #expect(abs(label.unixMilliseconds - clocks.origin - stamp.boottimeMilliseconds) <= 4000, "round \(round)")
    }
  }

  @Test("two seconds off are left alone, more is corrected and flagged")
  func tolerance() {
    for (error, isCorrected) in [(1999, false), (-1999, false), (2001, true), (-2001, true)] {
      var clocks = Clocks(error: Int64(error))
      var clock = TickClock(interval: .second, reading: clocks.reading, anchor: nil, lastTick: nil)
      #expect(answer(clocks, &clock))
      #expect(clock.isCorrected == isCorrected, "\(error) ms")
      #expect(clock.skewMilliseconds == Int64(error))
      clocks.boottime += 1000
      #expect(clock.dueTick(clocks.reading)?.isCorrected == isCorrected)
    }
  }

  @Test("a restart in the same boot keeps the anchor and never goes back behind a used tick")
  func restart() {
    var clocks = Clocks(error: 90_000)
    let last = Tick(unixMilliseconds: clocks.origin + 15_000)
    var clock = TickClock(interval: .second, reading: clocks.reading, anchor: clocks.origin, lastTick: last)
    #expect(clock.isCorrected)
    let stamps = pass(10_000, &clocks, &clock)
    #expect(stamps.first?.tick.unixMilliseconds == clocks.origin + 16_000)
    #expect(stamps.allSatisfy { !$0.isProvisional && $0.isCorrected })
    #expect(!answer(clocks, &clock))
  }

  @Test("an answer that was long on its way does not move the clock")
  func slowAnswer() {
    var clocks = Clocks()
    var clock = TickClock(interval: .second, reading: clocks.reading, anchor: nil, lastTick: nil)
    #expect(answer(clocks, &clock))
    let before = clock.offsetMilliseconds
    // Asked 9 s ago, answered at once, then held in a queue.
    _ = clock.compare(
      serverUnixMilliseconds: clocks.trueUnix - 9000, sentBoottimeMilliseconds: clocks.boottime - 9000,
      reading: clocks.reading)
    clocks.boottime += 1000
    _ = clock.dueTick(clocks.reading)
    #expect(clock.offsetMilliseconds == before && !clock.isCorrected)
  }
}
