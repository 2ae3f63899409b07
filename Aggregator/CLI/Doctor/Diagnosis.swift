/// One thing that `bongsu doctor` looked at.
struct DoctorCheck: Encodable, Hashable, Sendable {
  enum State: String, Encodable, Sendable {
    /// As it should be.
    case fine
    /// Somebody should do something; `nextStep` says what.
    case finding
    /// Not known; `value` says why.
    case unknown
  }

  /// Stable word, for scripts.
  var check: String
  var state: State
  /// What was seen.
  var value: String
  /// What it should be; `nil` where there is no bound.
  var limit: String?
  /// What to do; with findings only.
  var nextStep: String?

  private enum CodingKeys: String, CodingKey {
    case check, state, value, limit
    case nextStep = "next_step"
  }

  static func fine(_ check: String, _ value: String, limit: String? = nil) -> DoctorCheck {
    DoctorCheck(check: check, state: .fine, value: value, limit: limit, nextStep: nil)
  }

  static func finding(_ check: String, _ value: String, limit: String? = nil, nextStep: String) -> DoctorCheck {
    DoctorCheck(check: check, state: .finding, value: value, limit: limit, nextStep: nextStep)
  }

  static func unknown(_ check: String, _ reason: String) -> DoctorCheck {
    DoctorCheck(check: check, state: .unknown, value: reason, limit: nil, nextStep: nil)
  }
}

/// All that was looked at.
struct Diagnosis: Encodable, Hashable, Sendable {
  var checks: [DoctorCheck]

  var findings: Int { checks.count { $0.state == .finding } }

  private enum CodingKeys: String, CodingKey {
    case checks, findings
  }

  func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(checks, forKey: .checks)
    try fields.encode(findings, forKey: .findings)
  }

  /// Findings first, each with its next step, then what is not known, then what is fine; a line that sums it up.
  func lines(style: TerminalStyle) -> [String] {
    let width = checks.reduce(0) { max($0, $1.check.count) }
    var lines: [String] = []
    for state in [DoctorCheck.State.finding, .unknown, .fine] {
      let (mark, emphasis): (String, Emphasis) =
        switch state {
        case .finding: ("!", .alarm)
        case .unknown: ("?", .warning)
        case .fine: (" ", .none)
        }
      for check in checks where check.state == state {
        let name = check.check + String(repeating: " ", count: width - check.check.count)
        let limit = check.limit.map { " (limit: \($0))" } ?? ""
        lines.append(
          style.text("\(mark) \(name)", emphasis) + "  " + TextTable.withoutControls(check.value)
            + style.text(TextTable.withoutControls(limit), .faint))
        guard let nextStep = check.nextStep else { continue }
        lines.append(String(repeating: " ", count: width + 4) + "→ " + TextTable.withoutControls(nextStep))
      }
    }
    lines.append(findings == 0 ? "nothing to do" : "\(findings) \(findings == 1 ? "finding" : "findings")")
    return lines
  }
}
