import BongsuDevices
import BongsuModel
import Glibc
import Synchronization

@testable import BongsuSampling

/// A source that does as it is told, from another thread.
final class ScriptedSource: DeviceSource, @unchecked Sendable {
  // `@unchecked Sendable`: the script is behind a mutex; the rest belongs to the thread that reads the source.
  struct Script: Sendable {
    var devices = [Device(scope: .gpu, index: 0, key: "GPU-a", model: "Test")]
    var metrics: [MetricID] = [.gpuPower]
    var readMilliseconds = 0
    var discoveryMilliseconds = 0
    var condition = SourceCondition.available("scripted")
    var asksForDiscovery = false
  }

  let name: String
  let mayBlock: Bool
  let script: Guarded<Script>
  let reads = Atomic<Int>(0)
  let discoveries = Atomic<Int>(0)
  private(set) var condition = SourceCondition.available("scripted")

  init(_ name: String, mayBlock: Bool = true, _ script: Script = Script()) {
    self.name = name
    self.mayBlock = mayBlock
    self.script = Guarded(script)
  }

  func discover() -> SourceInventory {
    let script = script.withLock { script in
      script.asksForDiscovery = false
      return script
    }
    discoveries.add(1, ordering: .relaxed)
    if script.discoveryMilliseconds > 0 { usleep(UInt32(script.discoveryMilliseconds) * 1000) }
    condition = script.condition
    return SourceInventory(metrics: script.metrics, devices: script.devices)
  }

  func read(_ tick: Tick, into values: inout MutableSpan<Int64>) -> ReadOutcome {
    let script = script.withLock { $0 }
    reads.add(1, ordering: .relaxed)
    if script.readMilliseconds > 0 { usleep(UInt32(script.readMilliseconds) * 1000) }
    // The value names the tick, so that an answer in the wrong row is seen.
    for index in values.indices { values[index] = tick.unixMilliseconds * 10 + Int64(index) }
    condition = script.condition
    return script.asksForDiscovery ? .layoutChanged : .complete
  }

  func release() { condition = .released }
}

/// A sink that keeps everything and can be waited on.
final class CollectingSink: SampleSink {
  struct Row: Sendable {
    var tick: Tick
    var boottimeMilliseconds: Int64
    var flags: UInt8
    var layout: RowLayout
    var values: [Int64]

    func value(_ metric: MetricID, _ index: Int = 0) -> SampleValue {
      guard let column = layout.column(of: metric), index < layout.deviceCount(of: column) else { return .absent }
      return SampleValue(bits: values[layout.offset(of: column) + index])
    }
  }

  struct Contents: Sendable {
    var layouts: [RowLayout] = []
    var rows: [Row] = []
    var events: [SamplingEvent] = []
  }

  let contents = Guarded(Contents())

  func layoutChanged(_ layout: RowLayout) { contents.withLock { $0.layouts.append(layout) } }

  func take(_ stamp: SampleStamp, values: Span<Int64>) {
    var copy: [Int64] = []
    for index in values.indices { copy.append(values[index]) }
    contents.withLock { [copy] contents in
      guard let layout = contents.layouts.last else { return }
      contents.rows.append(
        Row(
          tick: stamp.tick, boottimeMilliseconds: stamp.boottimeMilliseconds, flags: stamp.flags, layout: layout,
          values: copy))
    }
  }

  func report(_ event: SamplingEvent) { contents.withLock { $0.events.append(event) } }

  /// Waits until `condition` holds of what has arrived.
  ///
  /// - Returns: `false` when it has not within ten seconds.
  func wait(_ condition: (Contents) -> Bool) -> Bool {
    for _ in 0..<2000 {
      if contents.withLock({ condition($0) }) { return true }
      usleep(5000)
    }
    return false
  }

  var snapshot: Contents { contents.withLock { $0 } }
}
