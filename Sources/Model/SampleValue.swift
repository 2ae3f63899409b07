/// One reading in its metric's integer wire unit, or its absence.
///
/// Absence is a value of its own and never becomes zero: a GPU that does not answer draws an unknown amount of power,
/// not none. The representation is one word so that rows of readings are plain arrays of 64-bit integers; the smallest
/// integer is reserved for absence and present readings stay within ``Limits/sampleMagnitudeMax``, which leaves room to
/// add up a nation of them without overflow.
@frozen
public struct SampleValue: Hashable, Sendable, BitwiseCopyable {
  /// The word as it is stored: the reading, or `Int64.min` for absence.
  public var bits: Int64

  /// Takes a stored word as it is. Use ``init(exactly:)`` for numbers that come from outside.
  @inlinable
  public init(bits: Int64) {
    self.bits = bits
  }

  /// A present reading, or absence when `reading` is larger than any quantity we know how to measure.
  @inlinable
  public init(_ reading: Int64) {
    bits = reading.magnitude <= UInt64(Limits.sampleMagnitudeMax) ? reading : Int64.min
  }

  /// A present reading, or `nil` when `reading` is outside ``Limits/sampleMagnitudeMax``.
  @inlinable
  public init?(exactly reading: Int64) {
    guard reading.magnitude <= UInt64(Limits.sampleMagnitudeMax) else { return nil }
    bits = reading
  }

  /// "No reading": not supported, lost device, or a call that timed out.
  @inlinable public static var absent: SampleValue { SampleValue(bits: Int64.min) }

  /// Whether there is no reading.
  @inlinable public var isAbsent: Bool { bits == Int64.min }

  /// The reading in wire units, `nil` when absent.
  @inlinable public var reading: Int64? { isAbsent ? nil : bits }
}
