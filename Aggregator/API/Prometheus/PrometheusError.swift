internal import BongsuQuery

/// A refusal in the form of the Prometheus HTTP API. Existing clients compare `errorType`, so the words are theirs.
struct PrometheusError: Error, Hashable {
  enum Kind: String {
    case badData = "bad_data"
    case execution
    case timeout
    case canceled
    case unavailable
    case `internal`

    /// The HTTP status Prometheus 2.42 answers it with.
    var statusCode: Int {
      switch self {
      case .badData: 400
      case .execution: 422
      case .timeout, .canceled, .unavailable: 503
      case .internal: 500
      }
    }
  }

  let kind: Kind
  let message: String

  init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message.cut(toBytes: APILimits.errorBytesMax)
  }

  /// A parameter that cannot be used.
  static func invalid(_ parameter: String, _ reason: String) -> PrometheusError {
    PrometheusError(.badData, "invalid parameter \"\(parameter)\": \(reason)")
  }

  /// A query without an answer.
  init(_ error: QueryError) {
    switch error {
    case .parse(let failure): self = .invalid("query", failure.description)
    case .execution(let message): self.init(.execution, message)
    case .tooLarge(let message): self.init(.execution, message)
    case .timeout: self.init(.timeout, error.description)
    case .cancelled: self.init(.canceled, error.description)
    }
  }
}
