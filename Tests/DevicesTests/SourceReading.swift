import BongsuDevices
import BongsuModel

/// One reading of a source, with its values by name.
struct SourceReading {
  let inventory: SourceInventory
  let values: [Int64]
  let outcome: ReadOutcome

  /// Reads `source` at `tick` by `inventory`.
  init(_ source: any DeviceSource, _ inventory: SourceInventory, at tick: Tick) {
    // Anything that is not written is seen.
    var values = [Int64](repeating: 777_777_777, count: inventory.width)
    var span = values.mutableSpan
    outcome = source.read(tick, into: &span)
    self.inventory = inventory
    self.values = values
  }

  /// The value of `metric` of the device with number `device` in its scope.
  func callAsFunction(_ metric: MetricID, _ device: Int = 0) -> SampleValue {
    inventory.offset(of: metric).map { SampleValue(bits: values[$0 + device]) } ?? .absent
  }

  var isAllAbsent: Bool { values.allSatisfy { SampleValue(bits: $0).isAbsent } }
}
