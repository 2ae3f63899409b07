internal import BongsuStore

/// What a data directory holds, judged by its checksums.
enum DataDiagnosis {
  /// Problems of one file that are listed; further ones are counted.
  private static let problemsMax = 5

  static func of(_ directory: String) throws(CommandFailure) -> Diagnosis {
    var checks: [DoctorCheck] = []
    do throws(DataVerification.Refusal) {
      try DataVerification(directory: directory).run { checks.append(check($0)) }
    } catch {
      throw CommandFailure("\(error)")
    }
    return Diagnosis(checks: checks)
  }

  private static func check(_ part: DataVerification.Part) -> DoctorCheck {
    guard !part.problems.isEmpty else { return .fine(part.name, part.read) }
    let rest = part.problems.count - problemsMax
    return .finding(
      part.name,
      part.problems.prefix(problemsMax).joined(separator: "; ") + (rest > 0 ? "; and \(rest) more" : ""),
      limit: "as it was written", nextStep: nextStep(part.name))
  }

  private static func nextStep(_ name: String) -> String {
    if name.hasPrefix("journal") || name.hasPrefix("raw") {
      return "start the aggregator: it leaves out what is damaged and names it, the rest stays; look at the disk"
    }
    if name == "registry.sqlite" {
      return "start the aggregator: it takes the sound entries over; who is missing then joins again; look at the disk"
    }
    if name == "format" || name.hasPrefix("keys/") {
      return "start the aggregator: it writes the file anew from its sound copy, and says when there is none"
    }
    return
      "start the aggregator: it forms anew what it can, and sets a file that is beyond that aside; look at the disk"
  }
}
