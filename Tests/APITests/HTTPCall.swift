import AsyncHTTPClient
import BongsuReports
import Foundation
import NIOCore
import NIOHTTP1

/// What came back from one request.
struct Answer {
  let status: Int
  let body: String
  private let headers: HTTPHeaders

  init(status: Int, headers: HTTPHeaders, body: String) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// The first value of a header, whatever its case.
  func header(_ name: String) -> String? { headers.first(name: name) }

  func json<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
    try JSONDecoder().decode(Value.self, from: Data(body.utf8))
  }

  /// The refusal in the body.
  var refusal: ErrorReport.Refusal? { try? json(ErrorReport.self).error }
}

/// Sends one request to a server on loopback.
func call(
  _ port: Int, _ path: String, method: String = "GET", headers: [String: String] = [:], body: String? = nil
) async throws -> Answer {
  var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
  request.method = HTTPMethod(rawValue: method)
  request.headers = HTTPHeaders(headers.map { ($0.key, $0.value) })
  if let body { request.body = .bytes(ByteBuffer(string: body)) }
  let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
  let bytes = try await response.body.collect(upTo: 64 << 20)
  return Answer(status: Int(response.status.code), headers: response.headers, body: String(buffer: bytes))
}
