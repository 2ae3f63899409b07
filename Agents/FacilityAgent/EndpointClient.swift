import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL

/// Why an endpoint gave nothing this time: one line for the log.
struct EndpointFailure: Error, CustomStringConvertible {
  let description: String
  /// Whether it said that there is no such thing.
  var isMissing = false
}

/// Fetches from one endpoint, within bounds: a time for each answer, a size, no redirects, which would carry a password
/// elsewhere.
///
/// Thread rule: any task.
struct EndpointClient: Sendable {
  let base: String
  let credentials: Credentials?
  let timeout: Duration
  let http: HTTPClient

  struct Credentials: Hashable, Sendable {
    let username: String
    let password: String
  }

  /// How servers prove who they are.
  enum Trust: Hashable, Sendable {
    case system
    /// Certificates of a PEM file.
    case file(String)
    /// Nobody proves anything; for controllers with certificates of their own making, on a network that is trusted.
    case none
  }

  /// Bytes of one answer; the largest page seen has a few hundred kilobytes.
  static let answerBytesMax = 16 << 20

  /// A client for servers that are trusted so. To be shut down by its owner.
  static func http(_ trust: Trust) -> HTTPClient {
    var tls = TLSConfiguration.makeClientConfiguration()
    switch trust {
    case .system: break
    case .file(let path): tls.trustRoots = .file(path)
    case .none: tls.certificateVerification = .none
    }
    var configuration = HTTPClient.Configuration(tlsConfiguration: tls, redirectConfiguration: .disallow)
    configuration.connectionPool.idleTimeout = .seconds(90)
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 2
    return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  /// The text at `path` of the endpoint (absolute, or empty for the endpoint's own address).
  func text(_ path: String = "", query: [(String, String)] = []) async throws -> String {
    String(decoding: try await bytes(path, query: query), as: UTF8.self)
  }

  /// The JSON object there.
  func object(_ path: String, query: [(String, String)] = []) async throws -> JSONValue {
    let data = Data(try await bytes(path, query: query))
    guard let object = try? JSONDecoder().decode(JSONValue.self, from: data), object.isObject else {
      throw EndpointFailure(description: "\(base)\(path) answers with something that is no JSON object")
    }
    return object
  }

  private func bytes(_ path: String, query: [(String, String)]) async throws -> [UInt8] {
    var address = base + path
    if !query.isEmpty {
      address += "?" + query.map { "\($0.0)=\(Self.escaped($0.1))" }.joined(separator: "&")
    }
    var request = HTTPClientRequest(url: address)
    request.headers.add(name: "Accept", value: "application/json, text/plain;q=0.9, */*;q=0.1")
    if let credentials {
      let pair = Data("\(credentials.username):\(credentials.password)".utf8).base64EncodedString()
      request.headers.add(name: "Authorization", value: "Basic \(pair)")
    }
    do {
      let wait = TimeAmount.nanoseconds(
        timeout.components.seconds * 1_000_000_000 + timeout.components.attoseconds / 1_000_000_000)
      let response = try await http.execute(request, timeout: wait)
      guard response.status == .ok else {
        throw EndpointFailure(
          description: "\(base)\(path) answers \(response.status.code)\(Self.advice(response.status))",
          isMissing: response.status == .notFound)
      }
      return Array(buffer: try await response.body.collect(upTo: Self.answerBytesMax))
    } catch let error as EndpointFailure {
      throw error
    } catch let error as HTTPClientError where error == .deadlineExceeded || error == .connectTimeout {
      throw EndpointFailure(description: "\(base)\(path) does not answer within \(timeout)")
    } catch is NIOTooManyBytesError {
      throw EndpointFailure(description: "\(base)\(path) answers with more than \(Self.answerBytesMax) bytes")
    } catch {
      throw EndpointFailure(description: "cannot read \(base)\(path): \(error)")
    }
  }

  private static func advice(_ status: HTTPResponseStatus) -> String {
    switch status {
    case .unauthorized, .forbidden: "; give username and password_file of a user that may read it"
    case .notFound: "; is the address right?"
    default: ""
    }
  }

  private static func escaped(_ text: String) -> String {
    var allowed = CharacterSet.alphanumerics
    allowed.insert(charactersIn: "-._~")
    return text.addingPercentEncoding(withAllowedCharacters: allowed) ?? ""
  }
}
