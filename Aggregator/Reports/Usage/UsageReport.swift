/// Whose account is wanted.
public struct UsageSubject: Codable, Hashable, Sendable {
  public enum Kind: String, Codable, Hashable, Sendable {
    /// An allocation with all that lies below it.
    case allocation
    case factory
  }

  public var kind: Kind
  /// Path of the allocation, or id of the factory.
  public var id: String
  /// For people; empty when the fleet file has none.
  public var name: String

  public init(_ kind: Kind, _ id: String, name: String = "") {
    self.kind = kind
    self.id = id
    self.name = name
  }
}

/// A node and what its GPUs drew while they reported and did not work.
public struct IdleNode: Codable, Hashable, Sendable {
  public var node: String
  public var factory: String
  /// Mean over the hours in which the node reported, watts: power × the share of GPUs that were idle, hour by hour.
  public var idleWatts: Double
  /// How many hours those are.
  public var hours: Int

  private enum CodingKeys: String, CodingKey {
    case node, factory, hours
    case idleWatts = "idle_watts"
  }

  public init(node: String, factory: String, idleWatts: Double, hours: Int) {
    self.node = node
    self.factory = factory
    self.idleWatts = idleWatts
    self.hours = hours
  }
}

/// The account of one allocation or factory for one month: what is signed and printed.
public struct UsageReport: Codable, Hashable, Sendable {
  /// Names the form of the document and the meaning of its fields.
  public static let formatName = "bongsu-usage-report-1"
  /// Nodes that are listed by what they drew idle.
  public static let idleNodesMax = 10

  public var format = UsageReport.formatName
  public var nation: String
  public var subject: UsageSubject
  /// Such as `2026-10`.
  public var month: String
  /// The zone in which the month begins and ends, and how far ahead of UTC its clocks are.
  public var timeZone: String
  public var secondsEast: Int
  /// Whether the month was over, so that only late data can still change the account.
  public var isWholeMonth: Bool
  /// When it was made up, milliseconds since 1970, and by which release.
  public var madeUnixMilliseconds: Int64
  public var release: String
  public var account: UsageAccount
  /// Of the account's energy, those that counted in the month.
  public var carbonFactors: [CarbonFactor]
  /// At most ``idleNodesMax``, the highest first; `nil` where history does not tell nodes apart.
  public var idleNodes: [IdleNode]?

  private enum CodingKeys: String, CodingKey {
    case format, nation, subject, month, release, account
    case timeZone = "time_zone"
    case secondsEast = "utc_offset_seconds"
    case isWholeMonth = "whole_month"
    case madeUnixMilliseconds = "made_ms"
    case carbonFactors = "carbon_factors"
    case idleNodes = "idle_nodes"
  }

  public init(
    nation: String, subject: UsageSubject, month: ReportMonth, timeZone: String, secondsEast: Int, isWholeMonth: Bool,
    madeUnixMilliseconds: Int64, release: String, account: UsageAccount, carbonFactors: [CarbonFactor],
    idleNodes: [IdleNode]?
  ) {
    self.nation = nation
    self.subject = subject
    self.month = month.description
    self.timeZone = timeZone
    self.secondsEast = secondsEast
    self.isWholeMonth = isWholeMonth
    self.madeUnixMilliseconds = madeUnixMilliseconds
    self.release = release
    self.account = account
    self.carbonFactors = carbonFactors
    self.idleNodes = idleNodes
  }

  /// An instant in the report's zone, such as `2026-10-13 14:15`.
  public func local(_ unixMilliseconds: Int64) -> String {
    let text = TimeText.rfc3339(unixMilliseconds: unixMilliseconds + Int64(secondsEast) * 1000)
    return "\(text.prefix(10)) \(text.dropFirst(11).prefix(5))"
  }

  /// The zone's distance from UTC, such as `+09:00`.
  public var offset: String {
    let minutes = abs(secondsEast) / 60
    func two(_ number: Int) -> String { (number < 10 ? "0" : "") + String(number) }
    return "\(secondsEast < 0 ? "-" : "+")\(two(minutes / 60)):\(two(minutes % 60))"
  }
}

/// What `/api/bongsu/v1/report` is asked for.
public struct UsageReportRequest: Hashable, Sendable {
  public var kind: UsageSubject.Kind
  public var id: String
  /// `nil`: the last month that is over.
  public var month: ReportMonth?

  public init(_ kind: UsageSubject.Kind, _ id: String, month: ReportMonth? = nil) {
    self.kind = kind
    self.id = id
    self.month = month
  }
}
