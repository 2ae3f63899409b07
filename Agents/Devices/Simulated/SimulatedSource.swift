public import BongsuModel

/// A generated node as a source of readings: for demonstrations and tests of everything behind the agent.
public final class SimulatedSource: DeviceSource {
  public let name = "simulated"
  public let mayBlock = false
  public private(set) var condition: SourceCondition
  private var node: SimulatedNode
  private let interval: TickInterval

  /// Generates `configuration` at `interval`.
  public init(_ configuration: SimulatedNode.Configuration, interval: TickInterval) {
    node = SimulatedNode(configuration)
    self.interval = interval
    condition = .available("\(configuration.gpuCount) simulated \(configuration.model.key), seed \(configuration.seed)")
  }

  public func discover() -> SourceInventory {
    condition = .available(
      "\(node.configuration.gpuCount) simulated \(node.configuration.model.key), seed \(node.configuration.seed)")
    return SourceInventory(metrics: node.metrics, devices: node.devices)
  }

  public func read(_ tick: Tick, into values: inout MutableSpan<Int64>) -> ReadOutcome {
    guard condition != .released else {
      for index in values.indices { values[index] = SampleValue.absent.bits }
      return .complete
    }
    node.fill(tick, interval: interval, into: &values)
    return .complete
  }

  public func release() {
    condition = .released
  }
}
