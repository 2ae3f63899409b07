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

/// The client of these tests. The shared one keeps eight connections a host, so that a test in which more requests than
/// that wait for each other would never end.
let testClient: HTTPClient = {
  var configuration = HTTPClient.Configuration()
  configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 128
  configuration.timeout.connect = .seconds(60)
  return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
}()

/// Waits until `condition` holds; `false` when it does not within a minute.
func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
  let deadline = ContinuousClock.now + .seconds(60)
  while ContinuousClock.now < deadline {
    if try await condition() { return true }
    try await Task.sleep(for: .milliseconds(10))
  }
  return false
}

/// Sends one request to a server on loopback.
func call(
  _ port: Int, _ path: String, method: String = "GET", headers: [String: String] = [:], body: String? = nil
) async throws -> Answer {
  var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
  request.method = HTTPMethod(rawValue: method)
  request.headers = HTTPHeaders(headers.map { ($0.key, $0.value) })
  if let body { request.body = .bytes(ByteBuffer(string: body)) }
  let response = try await testClient.execute(request, timeout: .seconds(120))
  let bytes = try await response.body.collect(upTo: 64 << 20)
  return Answer(status: Int(response.status.code), headers: response.headers, body: String(buffer: bytes))
}
