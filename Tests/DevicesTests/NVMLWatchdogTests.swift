import BongsuDevices
import BongsuModel
import BongsuTestKit
import Glibc
import Testing

@testable import BongsuSampling

/// The NVML source behind the sampler's watchdog, with a driver that misbehaves.
@Suite("NVML behind the watchdog", .serialized)
struct NVMLWatchdogTests {
  private static let interval = TickInterval(milliseconds: 100)!

  /// Keeps what the newest row says about GPU power, and all events.
  private final class Sink: SampleSink {
    struct State {
      var layout: RowLayout?
      var rows = 0
      var lastTick: Tick?
      var gapMax: Int64 = 0
      var powers: [SampleValue] = []
      var events: [SamplingEvent] = []
    }
    let state = Guarded(State())

    func layoutChanged(_ layout: RowLayout) { state.withLock { $0.layout = layout } }

    func take(_ stamp: SampleStamp, values: Span<Int64>) {
      var powers: [SampleValue] = []
      let layout = state.withLock { $0.layout }
      if let layout, let column = layout.column(of: .gpuPower) {
        for place in layout.range(of: column) { powers.append(SampleValue(bits: values[place])) }
      }
      state.withLock { [powers] state in
        state.rows += 1
        if let last = state.lastTick {
          state.gapMax = max(state.gapMax, stamp.tick.unixMilliseconds - last.unixMilliseconds)
        }
        state.lastTick = stamp.tick
        state.powers = powers
      }
    }

    func report(_ event: SamplingEvent) { state.withLock { $0.events.append(event) } }

    func wait(seconds: Int = 10, _ condition: (State) -> Bool) -> Bool {
      for _ in 0..<seconds * 200 {
        if state.withLock({ condition($0) }) { return true }
        usleep(5000)
      }
      return false
    }
  }

  private func running(
    _ sources: sending SourceSet, _ body: (Sampler, Sink) throws -> Void
  ) rethrows {
    let sink = Sink()
    let sampler = Sampler(
      sources, interval: Self.interval, ticks: WallTickSource(interval: Self.interval), sink: sink)
    sampler.start()
    defer { sampler.stop() }
    try body(sampler, sink)
  }

  private static func isComplete(_ state: Sink.State, _ count: Int) -> Bool {
    state.powers.count == count && state.powers.allSatisfy { !$0.isAbsent }
  }

  @Test("a driver call that hangs for seconds delays no row; readings are absent until it is back")
  func hang() throws {
    let fake = try FakeNVML()
    let sources = SourceSet([NVMLSource(library: fake.path, interval: Self.interval)])
    try running(sources) { _, sink in
      #expect(sink.wait { Self.isComplete($0, 8) })
      fake.set("hang_ms", 400)
      // Eight GPUs at 400 ms each: more than three seconds in one read.
      #expect(sink.wait { $0.events.contains { if case .source(_, .hung) = $0 { true } else { false } } })
      let rows = sink.state.withLock { $0.rows }
      #expect(sink.wait { $0.rows >= rows + 10 && $0.powers.allSatisfy(\.isAbsent) })
      #expect(sink.state.withLock { $0.gapMax } < 1000)
      fake.set("hang_ms", 0)
      #expect(sink.wait { Self.isComplete($0, 8) })
      let last = try #require(sink.state.withLock { $0.events.last })
      guard case .source(_, .available) = last else {
        Issue.record("the last event is \(last)")
        return
      }
    }
  }

  @Test("a driver that is loaded later joins by itself; a lost GPU is said once and returns by itself")
  func appearsAndLoses() throws {
    let fake = try FakeNVML()
    fake.set("driver_code", 9)
    let sources = SourceSet([NVMLSource(library: fake.path, interval: Self.interval)])
    running(sources) { _, sink in
      #expect(sink.wait { $0.rows >= 3 && $0.powers.isEmpty })
      fake.set("driver_code", 0)
      #expect(sink.wait { Self.isComplete($0, 8) })
      fake.set("lost", 1, gpu: 5)
      #expect(sink.wait { $0.powers.count == 8 && $0.powers[5].isAbsent && !$0.powers[4].isAbsent })
      fake.set("lost", 0, gpu: 5)
      #expect(sink.wait(seconds: 20) { Self.isComplete($0, 8) })
      let words = sink.state.withLock { state in
        state.events.compactMap { if case .source(_, let condition) = $0 { condition.word } else { nil } }
      }
      #expect(words == ["unavailable", "available", "degraded", "available"])
    }
  }

  @Test("paused, the agent holds no session of the driver within a second; resumed, readings come back")
  func pause() throws {
    let fake = try FakeNVML()
    let source = NVMLSource(library: fake.path, interval: Self.interval)
    let name = source.name
    running(SourceSet([source])) { sampler, sink in
      #expect(sink.wait { Self.isComplete($0, 8) })
      #expect(fake.sessions == 1)
      #expect(sampler.setReleased(true, source: name))
      #expect(sink.wait(seconds: 1) { _ in fake.sessions == 0 })
      #expect(sink.wait { $0.powers.count == 8 && $0.powers.allSatisfy(\.isAbsent) })
      #expect(sampler.setReleased(false, source: name))
      #expect(sink.wait { Self.isComplete($0, 8) })
    }
    #expect(fake.sessions == 0)
  }
}
