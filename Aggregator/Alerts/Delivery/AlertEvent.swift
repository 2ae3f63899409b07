/// What a receiver is told about one alert: that it fires, or that it is over.
public struct AlertEvent: Sendable, Codable, Hashable {
  /// The alert's labels, external ones included: its identity.
  public var labels: [String: String]
  public var annotations: [String: String]
  /// When it began to fire, milliseconds since 1970.
  public var startsAt: Int64
  /// When it was over; `nil` while it fires.
  public var resolvedAt: Int64?
  public var value: Double?
  /// Where a person can look at the expression.
  public var generatorURL: String
  public var group: String
  public var coverage: Double?
  public var estimatedShare: Double?

  public var isResolved: Bool { resolvedAt != nil }

  /// The event of a transition; `nil` for one that no receiver is told of.
  public init?(_ transition: AlertTransition, externalLabels: [String: String], externalURL: String) {
    guard transition.isNews, let firedAt = transition.firedAt else { return nil }
    self.init(
      labels: transition.labels, annotations: transition.annotations, startsAt: firedAt,
      resolvedAt: transition.to == .firing ? nil : transition.at, value: transition.value, group: transition.group,
      coverage: transition.coverage, estimatedShare: transition.estimatedShare, expression: transition.expression,
      externalLabels: externalLabels, externalURL: externalURL)
  }

  init(
    labels: [String: String], annotations: [String: String], startsAt: Int64, resolvedAt: Int64?, value: Double?,
    group: String, coverage: Double?, estimatedShare: Double?, expression: String, externalLabels: [String: String],
    externalURL: String
  ) {
    self.labels = externalLabels.merging(labels) { _, own in own }
    var annotations = annotations
    annotations[Rule.onMissing] = nil
    annotations[Rule.afterRestart] = nil
    if let coverage { annotations["bongsu_coverage"] = Self.percent(coverage) }
    if let estimatedShare { annotations["bongsu_estimated_share"] = Self.percent(estimatedShare) }
    self.annotations = annotations
    self.startsAt = startsAt
    self.resolvedAt = resolvedAt
    self.value = value
    self.group = group
    self.coverage = coverage
    self.estimatedShare = estimatedShare
    generatorURL = "\(externalURL)/graph?g0.expr=\(URLText.escaped(expression))&g0.tab=1"
  }

  /// `99.5%`, one digit behind the point.
  static func percent(_ share: Double) -> String {
    let permille = Int((share * 1000).rounded())
    return "\(permille / 10).\(abs(permille % 10))%"
  }
}

enum URLText {
  /// Percent encoding of everything but letters, digits and a few marks.
  static func escaped(_ text: String) -> String {
    var out = ""
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        out.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        out += "%" + (digits.utf8.count == 1 ? "0" : "") + digits
      }
    }
    return out
  }
}

/// RFC 3339 in UTC, with milliseconds.
enum InstantText {
  static func text(_ unixMilliseconds: Int64) -> String {
    let days = unixMilliseconds.flooredDivision(by: 86_400_000)
    let rest = unixMilliseconds - days * 86_400_000
    // Civil date of a day number (Howard Hinnant's days_from_civil, backwards).
    let shifted = days + 719_468
    let era = shifted.flooredDivision(by: 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthIndex = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthIndex + 2) / 5 + 1
    let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func padded(_ number: Int64, _ width: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
    return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(padded(rest / 3_600_000, 2)):"
      + "\(padded(rest / 60_000 % 60, 2)):\(padded(rest / 1000 % 60, 2)).\(padded(rest % 1000, 3))Z"
  }
}
