/// The release that aggregator and command are of; the one place where it is written.
public enum Release {
  /// Semantic version.
  public static let version = "0.1.0"
}
