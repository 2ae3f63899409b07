/// The position of an `Element` in its table of a ``FleetTree``: a small integer that cannot be confused with the
/// position in another table. Positions are dense from 0 and valid only for the tree they came from.
@frozen
public struct FleetIndex<Element>: Hashable, Comparable, Sendable, BitwiseCopyable {
  /// The position.
  public let rawValue: Int32

  /// Names position `position`.
  @inlinable
  public init(_ position: Int) {
    rawValue = Int32(truncatingIfNeeded: position)
  }

  /// The position as an array subscript.
  @inlinable public var position: Int { Int(rawValue) }

  @inlinable
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

public typealias FactoryIndex = FleetIndex<Factory>
public typealias HallIndex = FleetIndex<Hall>
public typealias RackIndex = FleetIndex<Rack>
public typealias NodeIndex = FleetIndex<FleetNode>
public typealias MeterIndex = FleetIndex<Meter>
public typealias AllocationIndex = FleetIndex<Allocation>
