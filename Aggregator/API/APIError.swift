/// The error catalogue of the HTTP API. The words are stable: scripts compare them, tests hold them still.
public enum APIErrorCode: String, Sendable, CaseIterable {
  /// A query parameter or body field has a value that is not accepted.
  case badParameter = "bad_parameter"
  /// A query parameter that this address does not have, or one given twice.
  case unknownParameter = "unknown_parameter"
  /// A filter names a factory, hall, rack, allocation or node that does not exist.
  case unknownName = "unknown_name"
  /// The body is not the JSON that this address takes.
  case badBody = "bad_body"
  /// The body is longer than accepted.
  case bodyTooLarge = "body_too_large"
  /// No token, or one that is not known.
  case unauthenticated = "unauthenticated"
  /// Known or local, but not allowed to do this.
  case forbidden = "forbidden"
  /// No such address.
  case unknownAddress = "unknown_address"
  /// The address exists, the method does not.
  case methodNotAllowed = "method_not_allowed"
  /// No such node, token or other thing.
  case notFound = "not_found"
  /// This aggregator is built or configured without it.
  case notAvailable = "not_available"
  /// Coming up or going down; ask again later.
  case notReady = "not_ready"
  /// Too much is being asked at the same time; ask again in a moment.
  case busy
  /// The answer took too long.
  case timedOut = "timed_out"
  /// A failure on our side; the log of the aggregator has it.
  case internalFailure = "internal_failure"

  /// The HTTP status it is answered with.
  public var statusCode: Int {
    switch self {
    case .badParameter, .unknownParameter, .unknownName, .badBody: 400
    case .unauthenticated: 401
    case .forbidden: 403
    case .unknownAddress, .notFound: 404
    case .methodNotAllowed: 405
    case .bodyTooLarge: 413
    case .internalFailure: 500
    case .notAvailable: 501
    case .notReady, .busy: 503
    case .timedOut: 504
    }
  }
}

/// A refusal that the asker is told about.
public struct APIError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Which entry of the catalogue.
  public var code: APIErrorCode
  /// What failed, the value seen, the limit. Must hold no secret.
  public var message: String
  /// What to do about it.
  public var nextStep: String

  /// Refuses with `code`; `message` and `nextStep` are lower case without a full stop.
  public init(_ code: APIErrorCode, _ message: String, nextStep: String) {
    self.code = code
    self.message = message
    self.nextStep = nextStep
  }

  public var description: String { "\(code.rawValue): \(message); \(nextStep)" }

  /// A name that the fleet does not have: `kind` is `factory`, `allocation` …, `known` some names that it does have.
  public static func unknownName(_ kind: String, _ name: String, known: [String] = []) -> APIError {
    let shown = known.sorted().prefix(APILimits.knownNamesShown)
    let list =
      shown.isEmpty ? "" : "; known are \(shown.joined(separator: ", "))\(known.count > shown.count ? ", …" : "")"
    return APIError(
      .unknownName, "no \(kind) is called \"\(name.quotedForMessage)\"\(list)",
      nextStep: "check the name against `bongsu fleet show FILE`")
  }

  /// A part that this aggregator does not have.
  static func notAvailable(_ part: String) -> APIError {
    APIError(
      .notAvailable, "this aggregator has no \(part)", nextStep: "see the aggregator's configuration and its log")
  }
}

extension String {
  /// The text as it may stand in a message: control characters escaped, cut at ``APILimits/quotedBytesMax``.
  public var quotedForMessage: String {
    var out = ""
    for scalar in unicodeScalars {
      if scalar.value < 0x20 || scalar.value == 0x7F || scalar == "\"" || scalar == "\\" {
        out += scalar.escaped(asASCII: true)
      } else {
        out.unicodeScalars.append(scalar)
      }
      if out.utf8.count > APILimits.quotedBytesMax { return out + "…" }
    }
    return out
  }
}
