public import BongsuDevices
public import BongsuModel

/// Where rows go.
///
/// - Thread rule: all members are called from the sampler's thread, in order; they must not block, since the next tick
///   waits for them.
public protocol SampleSink: AnyObject, Sendable {
  /// The shape of all rows from here on. Called before the first row and whenever devices or metrics have changed.
  func layoutChanged(_ layout: RowLayout)

  /// The row of one tick, with the stamp as its tick source gave it. `values` may be read during the call only.
  func take(_ stamp: SampleStamp, values: Span<Int64>)

  /// Something people may want to know. Each is said once per change, so that a log stays readable.
  func report(_ event: SamplingEvent)
}

/// A change in how sampling goes.
public enum SamplingEvent: Hashable, Sendable, CustomStringConvertible {
  /// A source is now in another condition.
  case source(name: String, SourceCondition)
  /// Two sources overlap.
  case conflict(SourceConflict)
  /// Ticks passed without a row because the machine slept or was too busy.
  case missedTicks(Int)

  public var description: String {
    switch self {
    case .source(let name, let condition): "source \(name) is \(condition.word): \(condition)"
    case .conflict(let conflict): conflict.description
    case .missedTicks(let count): "\(count) ticks passed without a row; the machine slept or was too busy"
    }
  }
}
