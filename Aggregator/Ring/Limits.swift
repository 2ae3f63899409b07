/// The bounds of a ring. Checked with `precondition` when a ring is made: a wrong one is a bug of the caller.
public enum RingLimits {
  /// Slots per lane. Larger rings only hide a consumer that cannot keep up, and leave every cache level.
  public static let capacityMax = 1 << 22
  /// Lanes, that is producers, of one multi-producer ring. The consumer looks at each in turn.
  public static let lanesMax = 64
  /// Bytes that two cores never share by accident: two 64-byte lines, because x86 fetches them in pairs.
  public static let lineBytes = 128
}
