/// One thing that is wrong, or worth a look, in a fleet file.
public struct FleetFinding: Error, Hashable, Sendable, CustomStringConvertible {
  /// Whether the file can be used in spite of it.
  public enum Severity: String, Sendable {
    /// The file is refused.
    case error
    /// The file is used; something in it is probably not meant.
    case warning
  }

  public let severity: Severity
  /// The file as the caller named it.
  public let file: String
  /// Line and column, from 1; 0 when the finding is about the file as a whole.
  public let line: Int
  public let column: Int
  /// What is wrong, with the value seen and the limit.
  public let message: String
  /// What to do about it.
  public let remedy: String

  public init(severity: Severity, file: String, line: Int, column: Int, message: String, remedy: String) {
    self.severity = severity
    self.file = file
    self.line = line
    self.column = column
    self.message = message
    self.remedy = remedy
  }

  /// `FILE:LINE:COLUMN: error: MESSAGE; REMEDY`, the form that editors and terminals make clickable.
  public var description: String {
    let place = line > 0 ? "\(file):\(line):\(column)" : file
    return "\(place): \(severity.rawValue): \(message); \(remedy)"
  }
}

/// A place in the file.
struct FilePosition: Hashable, Comparable, Sendable {
  var line: Int
  var column: Int

  static let wholeFile = FilePosition(line: 0, column: 0)

  static func < (left: FilePosition, right: FilePosition) -> Bool {
    (left.line, left.column) < (right.line, right.column)
  }
}

/// Collects findings while a file is read, so that one run names all of them. Used by one thread.
final class FindingCollector {
  let file: String
  private(set) var findings: [FleetFinding] = []
  /// Findings beyond ``Limits/findingsMax``, counted but not kept.
  private(set) var droppedCount = 0
  private(set) var errorCount = 0

  init(file: String) {
    self.file = file
  }

  func error(_ position: FilePosition, _ message: String, remedy: String) {
    errorCount += 1
    append(.error, position, message, remedy)
  }

  func warning(_ position: FilePosition, _ message: String, remedy: String) {
    append(.warning, position, message, remedy)
  }

  /// All kept findings in file order, with a closing line when some were only counted.
  var sortedFindings: [FleetFinding] {
    var sorted = findings.enumerated().sorted { left, right in
      (left.element.line, left.element.column, left.offset) < (right.element.line, right.element.column, right.offset)
    }.map(\.element)
    if droppedCount > 0 {
      sorted.append(
        FleetFinding(
          severity: errorCount > 0 ? .error : .warning, file: file, line: 0, column: 0,
          message: "\(droppedCount) more findings are not shown, limit \(Limits.findingsMax)",
          remedy: "mend those above and check again"))
    }
    return sorted
  }

  private func append(
    _ severity: FleetFinding.Severity, _ position: FilePosition, _ message: String, _ remedy: String
  ) {
    guard findings.count < Limits.findingsMax else {
      droppedCount += 1
      return
    }
    findings.append(
      FleetFinding(
        severity: severity, file: file, line: position.line, column: position.column, message: message, remedy: remedy))
  }
}
