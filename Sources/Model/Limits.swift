/// The bounds of the model. Every decoder and parser refuses what lies outside, so that code behind them need not check.
public enum Limits {
  /// Ticks from 1970 to the year 2200: 63 bits of nanoseconds reach 2262.
  public static let tickRange = Tick(unixMilliseconds: 0)...Tick(unixMilliseconds: 7_258_118_400_000)
  /// Shortest and longest distance between ticks.
  public static let tickIntervalMillisecondsMin = 20
  public static let tickIntervalMillisecondsMax = 60_000

  /// Largest reading, 2^53: every exposed number is an exact double, and 2^9 of them add up in 63 bits. Rollups add
  /// metrics whose readings are far smaller (a milliwatt sum of a nation is below 2^40).
  public static let sampleMagnitudeMax: Int64 = 1 << 53

  /// Bytes in a node's name.
  public static let nodeIDBytesMax = 63
  /// Bytes in a device's key ("GPU-" and a UUID need 40; an instance path 96) and in its product name.
  public static let deviceKeyBytesMax = 96
  public static let deviceModelBytesMax = 96
  /// Bytes in a metric's name.
  public static let metricNameBytesMax = 96

  /// Columns of one node; the catalogue has about 30.
  public static let columnsMax = 128
  /// Devices of one node: a rack-scale chassis that one agent serves stays below.
  public static let devicesMax = 144
  /// Values in one row.
  public static let rowWidthMax = 4096
}
