import BongsuDevices
import BongsuModel
import BongsuRecordLog
import BongsuSpool
import BongsuTestKit
import BongsuWire
import Testing

@Suite("Spool capacity")
struct SpoolCapacityTests {
  /// Rows that one spill holds at 1 Hz: those that arrive within the five seconds before the oldest is late.
  private static let rowsPerRun = 5

  @Test("the default size holds at least seven days of 8 busy GPUs × 20 metrics at 1 Hz")
  func holdsAWeek() throws {
    var node = SimulatedNode(SimulatedNode.Configuration())
    let metrics = SimulatedNode.gpuMetrics
    #expect(node.width == 8 * metrics.count)
    let layout = try RowLayout(
      interval: .second, columns: node.metrics.map { try #require(MetricCatalogue.metric($0)) }, devices: node.devices)
    let disk = SimulatedDisk(seed: 1)
    let spool = OpenSpool(disk: disk, salt: 1)
    #expect(spool.store(AgentState(stream: StreamID(rawValue: 1), leaseEnd: 1)))
    #expect(spool.store(LayoutAnnouncement(number: 1, layout: layout)))
    let ticks = 1_800
    var words = [Int64](repeating: 0, count: Self.rowsPerRun * layout.width)
    var one = [Int64](repeating: 0, count: layout.width)
    for first in stride(from: 1, to: ticks, by: Self.rowsPerRun) {
      for row in 0..<Self.rowsPerRun {
        var span = one.mutableSpan
        node.fill(tick(of: UInt64(first + row)), interval: .second, into: &span)
        words.replaceSubrange((row * layout.width)..<((row + 1) * layout.width), with: one)
      }
      var losses: [SpoolLoss] = []
      #expect(spool.spill(run(UInt64(first), Self.rowsPerRun), rows: words, losses: &losses))
    }
    // Scaled to twenty metrics where the simulated node has another number of them.
    let bytesPerTick = Double(spool.byteCount) / Double(ticks) * 20 / Double(metrics.count)
    let days = Double(256 << 20) / bytesPerTick / 86_400
    print("spool: \(bytesPerTick) bytes a tick of 8 GPUs × 20 metrics in runs of \(Self.rowsPerRun), \(days) days")
    #expect(days >= 7)
  }
}
