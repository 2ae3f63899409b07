/// The number of a metric on the wire and on disk. Numbers are never reused for another meaning.
public struct MetricID: RawRepresentable, Hashable, Comparable, Sendable, BitwiseCopyable {
  /// The number as it is written.
  public let rawValue: UInt16

  /// Names the metric with number `rawValue`, which may be unknown to this build.
  @inlinable
  public init(rawValue: UInt16) {
    self.rawValue = rawValue
  }

  @inlinable
  public static func < (left: MetricID, right: MetricID) -> Bool { left.rawValue < right.rawValue }
}

/// How a metric behaves over time; decides what may be summed, differenced or interpolated.
public enum MetricKind: UInt8, Sendable, CaseIterable {
  /// A quantity that goes up and down, such as watts.
  case gauge = 0
  /// A total that only grows, until its device or driver restarts it from a lower value.
  case counter = 1
  /// A set of flags, or a number that names something such as an error: sums and means are meaningless.
  case bitmask = 2
}

/// What a metric is measured at.
public enum DeviceScope: UInt8, Sendable, CaseIterable {
  /// The machine: its supply, its processors, the agent on it.
  case node = 0
  /// One GPU, keyed by its UUID.
  case gpu = 1
  /// A board that carries several GPUs and their CPU (Grace superchips); counted once however many GPUs report it.
  case module = 2
}

/// The integer unit in which a reading travels, and its exact relation to the exposed base unit.
///
/// Exposed = wire × `exposedNumerator` ÷ `exposedDenominator`. One of the two is always 1, so a single correctly
/// rounded operation gives the exposed number and equal readings always print alike.
public enum WireUnit: UInt8, Sendable, CaseIterable {
  case count = 0
  case milliwatt = 1
  case millijoule = 2
  case permille = 3
  case kibibyte = 4
  case decicelsius = 5
  case megahertz = 6
  case bits = 7
  case microsecond = 8
  case byte = 9

  /// Factor from wire unit to base unit.
  public var exposedNumerator: Double {
    switch self {
    case .kibibyte: 1024
    case .megahertz: 1_000_000
    case .count, .bits, .byte, .milliwatt, .millijoule, .permille, .decicelsius, .microsecond: 1
    }
  }

  /// Divisor from wire unit to base unit.
  public var exposedDenominator: Double {
    switch self {
    case .milliwatt, .millijoule, .permille: 1000
    case .decicelsius: 10
    case .microsecond: 1_000_000
    case .count, .bits, .byte, .kibibyte, .megahertz: 1
    }
  }

  /// The Prometheus base unit that ends the metric's name; empty for plain numbers.
  public var exposedUnit: String {
    switch self {
    case .count, .bits: ""
    case .milliwatt: "watts"
    case .millijoule: "joules"
    case .permille: "ratio"
    case .kibibyte, .byte: "bytes"
    case .decicelsius: "celsius"
    case .megahertz: "hertz"
    case .microsecond: "seconds"
    }
  }

  /// A reading in wire units as the exposed floating-point number.
  @inlinable
  public func exposed(_ reading: Int64) -> Double {
    Double(reading) * exposedNumerator / exposedDenominator
  }
}

/// One row of the metric catalogue: what a column of readings means.
public struct Metric: Hashable, Sendable {
  /// Number on the wire.
  public let id: MetricID
  /// Prometheus name, with its base unit as suffix.
  public let name: String
  /// Integer unit on the wire.
  public let unit: WireUnit
  /// Behaviour over time.
  public let kind: MetricKind
  /// What it is measured at.
  public let scope: DeviceScope
  /// One sentence for people, shown as HELP.
  public let help: String

  /// Describes a metric, known to the catalogue or announced by a peer.
  public init(id: MetricID, name: String, unit: WireUnit, kind: MetricKind, scope: DeviceScope, help: String) {
    self.id = id
    self.name = name
    self.unit = unit
    self.kind = kind
    self.scope = scope
    self.help = help
  }
}
