/// Bounds of the device sources.
public enum DeviceLimits {
  /// Sources of one agent; each that may block costs a thread.
  public static let sourcesMax = 16
}
