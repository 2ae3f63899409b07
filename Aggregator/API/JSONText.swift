internal import BongsuReports
internal import FoundationEssentials
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// JSON in and out. Keys are sorted, so that equal answers are equal bytes; integers are written and read digit by digit.
enum JSONText {
  static let contentType = "application/json; charset=utf-8"

  /// `value` as a response.
  static func response(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var bytes = try encoder.encode(value)
    bytes.append(0x0A)
    return Response(
      status: status, headers: [.contentType: contentType], body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }

  /// `error` as a response of the one form that all refusals have.
  static func response(_ error: APIError) -> Response {
    let report = ErrorReport(code: error.code.rawValue, message: error.message, nextStep: error.nextStep)
    let status = HTTPResponse.Status(code: error.code.statusCode)
    do {
      var response = try Self.response(report, status: status)
      if error.code.statusCode == 503 { response.headers[.retryAfter] = "\(APILimits.retryAfterSeconds)" }
      if error.code == .unauthenticated { response.headers[.wwwAuthenticate] = "Bearer realm=\"bongsu\"" }
      return response
    } catch {
      // Three strings always encode; were that to change, the status still tells the kind of refusal.
      return Response(status: status)
    }
  }

  /// Reads the body of `request` as `Value`. A missing body counts as an empty object.
  static func body<Value: Decodable>(of request: Request, as type: Value.Type) async throws -> Value {
    let buffer: ByteBuffer
    do {
      buffer = try await withAnswerDeadline {
        try await request.body.collect(upTo: APILimits.bodyBytesMax)
      }
    } catch is NIOTooManyBytesError {
      throw APIError(
        .bodyTooLarge, "the body has more than \(APILimits.bodyBytesMax) bytes", nextStep: "send less in one request")
    }
    let bytes = buffer.readableBytes == 0 ? Data("{}".utf8) : Data(buffer.readableBytesView)
    do {
      return try JSONDecoder().decode(Value.self, from: bytes)
    } catch let error as DecodingError {
      throw APIError(.badBody, explanation(of: error), nextStep: "see the API's description of this address")
    }
  }

  /// Says where and why a body does not fit, without repeating it.
  private static func explanation(of error: DecodingError) -> String {
    func place(_ path: [any CodingKey]) -> String {
      path.isEmpty ? "the body" : path.map(\.stringValue).joined(separator: ".").quotedForMessage
    }
    switch error {
    case .typeMismatch(let expected, let context): return "\(place(context.codingPath)) is not of type \(expected)"
    case .valueNotFound(_, let context): return "\(place(context.codingPath)) is null"
    case .keyNotFound(let key, _): return "\(key.stringValue) is missing"
    case .dataCorrupted(let context):
      return context.codingPath.isEmpty
        ? "the body is not JSON, or a number in it is not whole" : "\(place(context.codingPath)) is out of range"
    @unknown default: return "the body does not fit"
    }
  }
}
