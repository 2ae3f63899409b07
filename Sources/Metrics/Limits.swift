/// The bounds of Bongsu's own metrics. They are told apart from readings of devices, which never pass through here.
public enum MetricLimits {
  /// Families in one registry; Bongsu has about a hundred.
  public static let familiesMax = 1024
  /// Series in one family. Reason codes and shards stay far below; a label with a node's name in it would not.
  public static let seriesPerFamilyMax = 512
  /// Labels on one series.
  public static let labelsMax = 8
  /// Bytes in a label's value.
  public static let labelValueBytesMax = 256
  /// Buckets of one histogram, the infinite one left out.
  public static let histogramBucketsMax = 64
}
