/// Asks for stored rollups to be formed anew by the present fleet file.
public struct RestateRequest: Codable, Hashable, Sendable {
  /// A day or an instant, in the nation's zone unless it names another.
  public var from: String

  public init(from: String) {
    self.from = from
  }
}

/// What `bongsu fleet restate` has begun.
public struct RestateReport: Codable, Hashable, Sendable {
  /// The instant that was asked for, milliseconds since 1970, and as people of the nation write it.
  public var fromUnixMilliseconds: Int64
  public var from: String
  /// Minutes that are formed anew, in the background and oldest first.
  public var minutes: Int

  private enum CodingKeys: String, CodingKey {
    case fromUnixMilliseconds = "from_ms"
    case from, minutes
  }

  public init(fromUnixMilliseconds: Int64, from: String, minutes: Int) {
    self.fromUnixMilliseconds = fromUnixMilliseconds
    self.from = from
    self.minutes = minutes
  }
}
