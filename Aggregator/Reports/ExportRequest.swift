/// The text that an export is written in.
public enum ExportFormat: String, Codable, Sendable, CaseIterable {
  /// OpenMetrics 1.0 with a time on every sample; `promtool tsdb create-blocks-from openmetrics` reads it.
  case openmetrics
  /// One sample a line under a header line.
  case csv
}

/// Which stored samples an export is to carry.
public struct ExportRequest: Hashable, Sendable {
  /// Series selectors in PromQL's form, each with at least one matcher; a series that fits any of them is exported.
  public var matchers: [String]
  /// First and last tick, milliseconds since 1970, both included.
  public var startUnixMilliseconds: Int64
  public var endUnixMilliseconds: Int64
  public var format: ExportFormat

  public init(
    matchers: [String], startUnixMilliseconds: Int64, endUnixMilliseconds: Int64, format: ExportFormat = .openmetrics
  ) {
    self.matchers = matchers
    self.startUnixMilliseconds = startUnixMilliseconds
    self.endUnixMilliseconds = endUnixMilliseconds
    self.format = format
  }
}
