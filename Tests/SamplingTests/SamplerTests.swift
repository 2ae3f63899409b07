import BongsuDevices
import BongsuModel
import Glibc
import Testing

@testable import BongsuSampling

@Suite("sampler", .serialized)
struct SamplerTests {
  private static let interval = TickInterval(milliseconds: 50)!

  /// Samples `sources` until `condition` holds, then stops.
  private func sample(
    _ sources: [ScriptedSource], until condition: (CollectingSink.Contents) -> Bool
  ) -> (sink: CollectingSink, holds: Bool) {
    let sink = CollectingSink()
    let sampler = Sampler(
      SourceSet(sources), interval: Self.interval, ticks: WallTickSource(interval: Self.interval), sink: sink)
    sampler.start()
    let holds = sink.wait(condition)
    sampler.stop()
    return (sink, holds)
  }

  @Test("rows hold each source's reading of their own tick, in order, none twice", arguments: [true, false])
  func rows(mayBlock: Bool) throws {
    let source = ScriptedSource("one", mayBlock: mayBlock)
    let (sink, holds) = sample([source]) { $0.rows.count >= 10 }
    #expect(holds)
    let rows = sink.snapshot.rows
    for (earlier, later) in zip(rows, rows.dropFirst()) { #expect(later.tick > earlier.tick) }
    for row in rows where !row.value(.gpuPower).isAbsent {
      #expect(row.value(.gpuPower).reading == row.tick.unixMilliseconds * 10)
    }
    #expect(rows.count { !$0.value(.gpuPower).isAbsent } >= 8)
    #expect(rows.allSatisfy { $0.tick.unixMilliseconds % 50 == 0 })
  }

  @Test("nothing is called after stop")
  func stops() throws {
    let source = ScriptedSource("one")
    let (sink, _) = sample([source]) { $0.rows.count >= 2 }
    let count = sink.snapshot.rows.count
    usleep(150_000)
    #expect(sink.snapshot.rows.count == count)
  }

  @Test("a call that hangs leaves its readings absent, delays no row, leaves other sources alone, and is said once")
  func hang() throws {
    let healthy = ScriptedSource("healthy")
    let slow = ScriptedSource(
      "slow", .init(devices: [Device(scope: .gpu, index: 0, key: "GPU-b", model: "Test")], readMilliseconds: 0))
    let sink = CollectingSink()
    let sampler = Sampler(
      SourceSet([healthy, slow]), interval: Self.interval, ticks: WallTickSource(interval: Self.interval), sink: sink)
    sampler.start()
    #expect(sink.wait { $0.rows.count >= 4 })
    slow.script.withLock { $0.readMilliseconds = 700 }
    #expect(sink.wait { $0.events.contains { if case .source("slow", .hung) = $0 { true } else { false } } })
    let hungAt = sink.snapshot.rows.count
    slow.script.withLock { $0.readMilliseconds = 0 }
    #expect(sink.wait { contents in contents.events.last == .source(name: "slow", .available("scripted")) })
    #expect(sink.wait { $0.rows.last.map { !$0.value(.gpuPower, 1).isAbsent } ?? false })
    sampler.stop()

    let contents = sink.snapshot
    let hung = contents.rows[hungAt...].prefix(3)
    #expect(hung.allSatisfy { $0.value(.gpuPower, 1).isAbsent })
    #expect(hung.allSatisfy { $0.value(.gpuPower, 0).reading == $0.tick.unixMilliseconds * 10 })
    for (earlier, later) in zip(contents.rows, contents.rows.dropFirst()) {
      #expect(later.tick.unixMilliseconds - earlier.tick.unixMilliseconds <= 350)
    }
    for row in contents.rows {
      guard let reading = row.value(.gpuPower, 1).reading else { continue }
      #expect(reading == row.tick.unixMilliseconds * 10)
    }
    let hangs = contents.events.count { if case .source("slow", .hung) = $0 { true } else { false } }
    #expect(hangs == 1)
    #expect(contents.rows.last?.value(.agentSourceTimeouts).reading ?? 0 >= 4)
  }

  @Test("a source that always hangs does not keep the sampler from stopping")
  func stopWhileHung() throws {
    let source = ScriptedSource("stuck", .init(readMilliseconds: 3000))
    let begin = SystemClock.monotonic()
    let (_, holds) = sample([source]) {
      $0.events.contains { if case .source("stuck", .hung) = $0 { true } else { false } }
    }
    #expect(holds)
    #expect(SystemClock.monotonic() - begin < 2_500_000_000)
  }

  @Test("devices that come and go change the layout before the first row that has them")
  func layoutChanges() throws {
    let source = ScriptedSource("one")
    let sink = CollectingSink()
    let sampler = Sampler(
      SourceSet([source]), interval: Self.interval, ticks: WallTickSource(interval: Self.interval), sink: sink)
    sampler.start()
    #expect(sink.wait { $0.rows.count >= 3 })
    source.script.withLock {
      $0.devices.append(Device(scope: .gpu, index: 1, key: "GPU-c", model: "Test"))
      $0.metrics.append(.gpuTemperature)
      $0.asksForDiscovery = true
    }
    #expect(sink.wait { $0.rows.last.map { !$0.value(.gpuTemperature, 1).isAbsent } ?? false })
    sampler.stop()
    let contents = sink.snapshot
    #expect(contents.layouts.count == 2)
    #expect(contents.layouts.last?.devices(in: .gpu).map(\.key) == ["GPU-a", "GPU-c"])
    #expect(contents.rows.allSatisfy { $0.values.count == $0.layout.width })
  }

  @Test("a source that is not there is looked for again and joins when it appears")
  func appearsLater() throws {
    let source = ScriptedSource(
      "driver", .init(devices: [], metrics: [], condition: .unavailable("no driver")))
    let sink = CollectingSink()
    let sampler = Sampler(
      SourceSet([source]), interval: Self.interval, ticks: WallTickSource(interval: Self.interval), sink: sink)
    sampler.start()
    #expect(sink.wait { $0.events.contains(.source(name: "driver", .unavailable("no driver"))) })
    #expect(sink.wait { $0.rows.count >= 3 })
    source.script.withLock { $0 = .init() }
    #expect(sink.wait { $0.rows.last.map { !$0.value(.gpuPower).isAbsent } ?? false })
    sampler.stop()
    let contents = sink.snapshot
    #expect(contents.rows[0].layout.devices(in: .gpu).isEmpty)
    #expect(contents.rows[0].value(.agentSourceTimeouts).reading == 0)
    #expect(contents.events.count { if case .source("driver", .unavailable) = $0 { true } else { false } } == 1)
  }

  @Test("a look for devices that takes long delays neither the start nor any row")
  func slowDiscovery() throws {
    let healthy = ScriptedSource("healthy")
    let slow = ScriptedSource(
      "slow",
      .init(devices: [Device(scope: .gpu, index: 0, key: "GPU-b", model: "Test")], discoveryMilliseconds: 3000))
    let begin = SystemClock.monotonic()
    let (sink, holds) = sample([healthy, slow]) { $0.rows.count >= 5 }
    #expect(holds)
    #expect(SystemClock.monotonic() - begin < 2_900_000_000)
    #expect(sink.snapshot.rows.last?.value(.gpuPower, 0).isAbsent == false)
  }

  @Test("a released source is let go, its readings are absent and not counted as timeouts, and it comes back")
  func release() throws {
    let source = ScriptedSource("gpu")
    let sink = CollectingSink()
    let sampler = Sampler(
      SourceSet([source]), interval: Self.interval, ticks: WallTickSource(interval: Self.interval), sink: sink)
    sampler.start()
    #expect(sink.wait { $0.rows.last.map { !$0.value(.gpuPower).isAbsent } ?? false })
    #expect(sampler.setReleased(true, source: "gpu"))
    #expect(!sampler.setReleased(true, source: "other"))
    #expect(sink.wait { $0.events.contains(.source(name: "gpu", .released)) })
    #expect(sink.wait { $0.rows.last.map { $0.value(.gpuPower).isAbsent } ?? false })
    let timeouts = sink.snapshot.rows.last?.value(.agentSourceTimeouts)
    usleep(200_000)
    #expect(sink.snapshot.rows.last?.value(.agentSourceTimeouts) == timeouts)
    #expect(sampler.setReleased(false, source: "gpu"))
    #expect(sink.wait { $0.rows.last.map { !$0.value(.gpuPower).isAbsent } ?? false })
    sampler.stop()
    #expect(sink.snapshot.layouts.count == 1)
  }

  @Test("the agent's own figures stand in every row")
  func health() throws {
    let sink = CollectingSink()
    let sampler = Sampler(
      SourceSet([]), interval: Self.interval, ticks: WallTickSource(interval: Self.interval), sink: sink)
    sampler.setSpoolBytes(4096)
    sampler.start()
    #expect(sink.wait { $0.rows.count >= 3 })
    sampler.stop()
    let row = try #require(sink.snapshot.rows.last)
    #expect(row.value(.agentResidentMemory).reading ?? 0 > 1000)
    #expect(row.value(.agentCPU).reading ?? 0 > 0)
    #expect(row.value(.agentSpool).reading == 4096)
    #expect(row.value(.agentMissedTicks).reading != nil)
  }
}
