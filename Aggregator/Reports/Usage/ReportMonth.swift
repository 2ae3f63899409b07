/// A month of the calendar, as reports are made for.
public struct ReportMonth: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// 1970 to 2199.
  public let year: Int
  /// 1 to 12.
  public let month: Int

  private init(year: Int, month: Int) {
    self.year = year
    self.month = month
  }

  /// Reads `2026-10`; `nil` for anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].utf8.count == 4, parts[1].utf8.count == 2,
      parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }), let year = Int(parts[0]),
      let month = Int(parts[1]), (1970...2199).contains(year), (1...12).contains(month)
    else { return nil }
    self.init(year: year, month: month)
  }

  /// The month of an instant within 1970 to 2199, where clocks are `secondsEast` ahead of UTC.
  public init?(containing unixMilliseconds: Int64, secondsEast: Int) {
    self.init(String(TimeText.rfc3339(unixMilliseconds: unixMilliseconds + Int64(secondsEast) * 1000).prefix(7)))
  }

  public var next: ReportMonth {
    month == 12 ? ReportMonth(year: year + 1, month: 1) : ReportMonth(year: year, month: month + 1)
  }

  public var previous: ReportMonth {
    month == 1 ? ReportMonth(year: year - 1, month: 12) : ReportMonth(year: year, month: month - 1)
  }

  /// Its first instant, local midnight, milliseconds since 1970.
  public func start(secondsEast: Int) -> Int64 {
    guard let midnight = TimeText.unixMilliseconds("\(self)-01T00:00:00Z") else {
      preconditionFailure("\(self) has no first day")
    }
    return midnight - Int64(secondsEast) * 1000
  }

  public var description: String {
    "\(year)-\(month < 10 ? "0" : "")\(month)"
  }

  public static func < (left: ReportMonth, right: ReportMonth) -> Bool {
    (left.year, left.month) < (right.year, right.month)
  }
}
