import BongsuModel
import Testing

@testable import BongsuSampling

@Suite("tick clock")
struct TickClockTests {
  private static let second: Int64 = 1_000_000_000
  /// 2026-01-01T00:00:00.300Z, and 100 s after boot.
  private static let wall: Int64 = 1_767_225_600_300_000_000
  private static let boot: Int64 = 100 * second

  /// Runs a clock whose wall time is boot time plus `offset(boot)` for `seconds`, always sleeping as told.
  private func ticks(
    interval: Int = 1000, seconds: Int64, wakesLate: (Int) -> Int64 = { _ in 0 }, offset: (Int64) -> Int64
  ) throws -> [(tick: Tick, boot: Int64, missed: Int)] {
    var clock = TickClock(interval: try #require(TickInterval(milliseconds: interval)))
    var boot = Self.boot
    var result: [(Tick, Int64, Int)] = []
    var wakes = 0
    while boot < Self.boot + seconds * Self.second {
      _ = clock.observe(wall: boot + offset(boot), boottime: boot)
      switch clock.decide(boottime: boot) {
      case .wait(let nanoseconds):
        #expect(nanoseconds > 0)
        boot += nanoseconds + wakesLate(wakes)
        wakes += 1
      case .take(let tick, let boottime, let late, let missed):
        #expect(late >= 0)
        result.append((tick, boottime, missed))
      }
    }
    return result
  }

  @Test("ticks fall on whole intervals of the wall clock, each once", arguments: [20, 100, 1000, 10_000])
  func aligned(interval: Int) throws {
    let ticks = try ticks(interval: interval, seconds: 60) { _ in Self.wall - Self.boot }
    #expect(ticks.count >= 60_000 / interval - 1)
    #expect(ticks[0].tick.unixMilliseconds > Self.wall / 1_000_000)
    for (earlier, later) in zip(ticks, ticks.dropFirst()) {
      #expect(later.tick.unixMilliseconds - earlier.tick.unixMilliseconds == Int64(interval))
      #expect(later.boot - earlier.boot == Int64(interval))
      #expect(later.missed == 0)
    }
    #expect(ticks.allSatisfy { $0.tick.unixMilliseconds % Int64(interval) == 0 })
  }

  @Test("a wake-up that comes late misses the ticks it slept through and says how many")
  func late() throws {
    let ticks = try ticks(seconds: 30, wakesLate: { $0 == 9 ? 3_400_000_000 : 0 }) { _ in Self.wall - Self.boot }
    #expect(ticks.map(\.missed).filter { $0 > 0 } == [3])
    for (earlier, later) in zip(ticks, ticks.dropFirst()) {
      #expect(later.tick.unixMilliseconds - earlier.tick.unixMilliseconds == 1000 * Int64(later.missed + 1))
    }
  }

  @Test("a wall clock that steps an hour forward takes the ticks along and misses none")
  func forward() throws {
    let hour = 3600 * Self.second
    let ticks = try ticks(seconds: 30) { boot in
      Self.wall - Self.boot + (boot > Self.boot + 10 * Self.second ? hour : 0)
    }
    let jumps = zip(ticks, ticks.dropFirst()).map { $1.tick.unixMilliseconds - $0.tick.unixMilliseconds }
    #expect(jumps.filter { $0 != 1000 }.count == 1)
    #expect(jumps.max() ?? 0 >= 3_600_000)
    #expect(ticks.allSatisfy { $0.missed == 0 })
  }

  @Test("a wall clock that steps an hour back neither repeats a tick nor silences the node")
  func backward() throws {
    let hour = 3600 * Self.second
    let ticks = try ticks(seconds: 60) { boot in
      Self.wall - Self.boot - (boot > Self.boot + 10 * Self.second ? hour : 0)
    }
    #expect(ticks.count >= 58)
    for (earlier, later) in zip(ticks, ticks.dropFirst()) { #expect(later.tick > earlier.tick) }
  }

  @Test("after a backward step the ticks follow the wall clock again once it has caught up")
  func caughtUp() throws {
    // Back by 20 s at 10 s, put right again at 30 s.
    let ticks = try ticks(seconds: 60) { boot in
      let since = (boot - Self.boot) / Self.second
      return Self.wall - Self.boot - ((10..<30).contains(since) ? 20 * Self.second : 0)
    }
    let last = try #require(ticks.last)
    #expect(last.tick.unixMilliseconds - last.boot == (Self.wall - Self.boot) / 1_000_000)
    for (earlier, later) in zip(ticks, ticks.dropFirst()) { #expect(later.tick > earlier.tick) }
  }

  @Test("a step is reported once, with its size, and so is its end")
  func reportedOnce() throws {
    var clock = TickClock(interval: .second)
    var steps: [Int64] = []
    for second in 0..<100 {
      let boot = Self.boot + Int64(second) * Self.second
      let offset: Int64 = (20..<60).contains(second) ? -30 * Self.second : 0
      // The wall clock runs 100 ppm fast as well.
      let drift = Int64(second) * 100_000
      let step = clock.observe(wall: Self.wall + boot - Self.boot + offset + drift, boottime: boot)
      if step != 0 { steps.append(step / Self.second) }
      _ = clock.decide(boottime: boot)
    }
    #expect(steps.count == 2)
    #expect(steps.first.map { (-30 ... -29).contains($0) } == true)
    #expect(steps.last.map { (29...30).contains($0) } == true)
  }

  @Test(
    "a wall clock that runs slow or fast by 500 ppm is followed without a missed or repeated tick",
    arguments: [-500, 500])
  func drift(partsPerMillion: Int64) throws {
    let ticks = try ticks(seconds: 3600) { boot in
      Self.wall - Self.boot + (boot - Self.boot) * partsPerMillion / 1_000_000
    }
    for (earlier, later) in zip(ticks, ticks.dropFirst()) {
      #expect(later.tick.unixMilliseconds - earlier.tick.unixMilliseconds == 1000)
      #expect(later.missed == 0)
    }
  }

  @Test("a correction moves the ticks to the true time, also backwards")
  func corrected() throws {
    var clock = TickClock(interval: .second)
    _ = clock.observe(wall: Self.wall, boottime: Self.boot)
    _ = clock.decide(boottime: Self.boot)
    clock.correct(byNanoseconds: -3600 * Self.second)
    _ = clock.observe(wall: Self.wall, boottime: Self.boot)
    guard case .wait(let nanoseconds) = clock.decide(boottime: Self.boot) else {
      Issue.record("a tick was due right after a correction")
      return
    }
    let boot = Self.boot + nanoseconds
    _ = clock.observe(wall: Self.wall + nanoseconds, boottime: boot)
    guard case .take(let tick, _, _, let missed) = clock.decide(boottime: boot) else {
      Issue.record("no tick at the next whole second")
      return
    }
    #expect(tick.unixMilliseconds == (Self.wall + nanoseconds) / 1_000_000 - 3_600_000)
    #expect(missed == 0)
  }
}
