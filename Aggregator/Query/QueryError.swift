/// Why a query has no answer.
public enum QueryError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The expression cannot be read or is of the wrong type.
  case parse(ParseFailure)
  /// The data do not allow the operation, or an argument is out of range; the message is in Prometheus's words.
  case execution(String)
  /// A limit on samples, series or steps was reached.
  case tooLarge(String)
  /// The query ran longer than allowed.
  case timeout(Duration)
  /// Whoever asked does not want the answer any more.
  case cancelled

  public var description: String {
    switch self {
    case .parse(let failure): failure.description
    case .execution(let message), .tooLarge(let message): message
    case .timeout: "query timed out in expression evaluation"
    case .cancelled: "query was canceled in expression evaluation"
    }
  }
}
