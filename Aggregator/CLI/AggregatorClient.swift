internal import AsyncHTTPClient
internal import BongsuReports
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL

/// Talks to the HTTP API of an aggregator.
struct AggregatorClient {
  let address: String
  private let token: String?
  private let client: HTTPClient

  /// Runs `body` with a client for the aggregator that `options` name.
  static func with<Value>(_ options: ServerOptions, _ body: (AggregatorClient) async throws -> Value) async throws
    -> Value
  {
    var configuration = HTTPClient.Configuration(
      redirectConfiguration: .disallow,
      timeout: .init(connect: .seconds(CommandLimits.connectSeconds), read: .seconds(CommandLimits.readSeconds)))
    if let path = options.authorities() { configuration.tlsConfiguration = try trusting(path) }
    // A refused connection is told at once; trying again is the caller's business.
    configuration.connectionPool.retryConnectionEstablishment = false
    let client = HTTPClient(eventLoopGroup: .singletonMultiThreadedEventLoopGroup, configuration: configuration)
    let api = AggregatorClient(address: try options.address(), token: options.secret(), client: client)
    do {
      let value = try await body(api)
      try await client.shutdown()
      return value
    } catch {
      try? await client.shutdown()
      throw error
    }
  }

  /// Trusts the certificates in `path` alone.
  private static func trusting(_ path: String) throws -> TLSConfiguration {
    let certificates: [NIOSSLCertificate]
    do { certificates = try NIOSSLCertificate.fromPEMFile(path) } catch { certificates = [] }
    guard !certificates.isEmpty else {
      throw CommandFailure(
        "\(path) holds no certificate that can be read; give a PEM file of authorities by --ca-file or BONGSU_CA_FILE")
    }
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.trustRoots = .certificates(certificates)
    return configuration
  }

  /// Asks for `path` and reads the answer as `Value`. Also gives the answer's own text, for JSON output to the digit.
  func get<Value: Decodable>(
    _ path: String, _ query: [(name: String, value: String?)] = [], as type: Value.Type = Value.self
  ) async throws -> (value: Value, text: String) {
    try await decoded(execute(request(path, query)))
  }

  /// Sends `body` to `path` and reads the answer as `Value`.
  func post<Value: Decodable>(
    _ path: String, _ body: some Encodable, as type: Value.Type = Value.self
  ) async throws -> (value: Value, text: String) {
    var request = request(path, [])
    request.method = .POST
    request.headers.replaceOrAdd(name: "Content-Type", value: "application/json")
    request.body = .bytes(ByteBuffer(bytes: try JSONEncoder().encode(body)))
    return try await decoded(execute(request))
  }

  /// Sends a form to `path` of the Prometheus API, since expressions may be longer than an address, and reads the answer.
  ///
  /// Throws `QueryRefusal` for what that API refuses.
  func form<Value: Decodable>(
    _ path: String, _ fields: [(name: String, value: String?)], as type: Value.Type = Value.self
  ) async throws -> (value: Value, text: String) {
    var request = request(path, [])
    request.method = .POST
    request.headers.replaceOrAdd(name: "Content-Type", value: "application/x-www-form-urlencoded")
    request.body = .bytes(ByteBuffer(string: Self.encoded(fields)))
    return try await decoded(execute(request))
  }

  /// Asks for `path` and passes the answer on piece by piece.
  func stream(
    _ path: String, _ query: [(name: String, value: String?)], to body: (ByteBuffer) throws -> Void
  ) async throws {
    let response = try await execute(request(path, query))
    do {
      for try await piece in response.body { try body(piece) }
    } catch let error as CommandFailure {
      throw error
    } catch {
      throw CommandFailure(
        "the answer of \(address) broke off: \(Self.words(error)); what was written is incomplete, look at the "
          + "aggregator's log and run it again")
    }
  }

  private func request(_ path: String, _ query: [(name: String, value: String?)]) -> HTTPClientRequest {
    let encoded = Self.encoded(query)
    var request = HTTPClientRequest(url: address + path + (encoded.isEmpty ? "" : "?" + encoded))
    request.headers.add(name: "User-Agent", value: "bongsu/\(Release.version)")
    request.headers.add(name: "Accept", value: "application/json, */*")
    if let token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
    return request
  }

  /// Sends the request; an answer other than 2xx is thrown in the server's own words.
  private func execute(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
    let response: HTTPClientResponse
    do {
      response = try await client.execute(request, deadline: .distantFuture)
    } catch is CancellationError {
      throw CancellationError()
    } catch let error where Self.isUntrusted(error) {
      throw CommandFailure(
        "the certificate of \(address) cannot be trusted: \(Self.words(error)); give the certificate of its authority by "
          + "--ca-file or BONGSU_CA_FILE, and an address with a name that the certificate has")
    } catch let error where Self.isOtherProtocol(error) {
      let isEncrypted = address.hasPrefix("https")
      throw CommandFailure(
        "\(address) does not speak \(isEncrypted ? "TLS" : "plain HTTP"): \(Self.words(error)); try "
          + (isEncrypted ? "http://" : "https://") + " by --url or BONGSU_URL")
    } catch {
      throw CommandFailure(
        "cannot reach the aggregator at \(address): \(Self.words(error)); is the aggregator running? start it with "
          + "ops/run, or give another address by --url or BONGSU_URL")
    }
    guard !(200..<300).contains(response.status.code) else { return response }
    let body = try? await response.body.collect(upTo: 1 << 20)
    let bytes = body.map { Data($0.readableBytesView) } ?? Data()
    if let refusal = try? JSONDecoder().decode(QueryRefusal.self, from: bytes) { throw refusal }
    guard let refusal = (try? JSONDecoder().decode(ErrorReport.self, from: bytes))?.error else {
      throw CommandFailure(
        "\(address) answered with status \(response.status.code) and no reason; is something else listening there?")
    }
    throw CommandFailure("\(refusal.message); \(refusal.nextStep) (\(refusal.code))")
  }

  private func decoded<Value: Decodable>(_ response: HTTPClientResponse) async throws -> (value: Value, text: String) {
    let body: ByteBuffer
    do {
      body = try await response.body.collect(upTo: CommandLimits.answerBytesMax)
    } catch {
      throw CommandFailure("the answer of \(address) broke off: \(Self.words(error)); run it again")
    }
    do {
      let value = try JSONDecoder().decode(Value.self, from: Data(body.readableBytesView))
      return (value, String(buffer: body))
    } catch {
      throw CommandFailure(
        "the answer of \(address) is not what this release understands; is it an aggregator, and of release "
          + "\(Release.version)?")
    }
  }

  /// Whether the other end has a certificate that is not to be trusted.
  private static func isUntrusted(_ error: any Error) -> Bool {
    let text = "\(error)"
    return text.contains("CERTIFICATE_VERIFY_FAILED") || text.contains("failedToValidateHostname")
  }

  /// Whether one end spoke TLS and the other did not.
  private static func isOtherProtocol(_ error: any Error) -> Bool {
    if let error = error as? HTTPClientError { return error == .remoteConnectionClosed }
    return "\(error)".contains("WRONG_VERSION_NUMBER") || "\(error)".contains("HTTP_REQUEST")
  }

  /// A transport error in few words.
  private static func words(_ error: any Error) -> String {
    if let error = error as? NIOConnectionError {
      guard let first = error.connectionErrors.first?.error else {
        return error.dnsAError == nil && error.dnsAAAAError == nil ? "no address answers" : "the host name is not known"
      }
      return words(first)
    }
    if "\(error)".contains("failedToValidateHostname") { return "it is not for this host" }
    if "\(error)".contains("CERTIFICATE_VERIFY_FAILED") {
      return "it has expired, or no known authority has signed it"
    }
    if let error = error as? IOError {
      // SAFETY: strerror's text is copied before any other call could overwrite it.
      return unsafe String(cString: strerror(error.errnoCode)).lowercased()
    }
    if let error = error as? HTTPClientError {
      switch error {
      case .connectTimeout: return "no connection within \(CommandLimits.connectSeconds) s"
      case .readTimeout: return "no answer within \(CommandLimits.readSeconds) s"
      case .remoteConnectionClosed: return "the connection was closed"
      default: return error.description
      }
    }
    return "\(error)"
  }

  /// Names and values as an address or a form carries them; those without a value are left out.
  private static func encoded(_ pairs: [(name: String, value: String?)]) -> String {
    pairs.compactMap { name, value in value.map { "\(escaped(name))=\(escaped($0))" } }.joined(separator: "&")
  }

  /// Percent encoding of everything but letters, digits and a few marks.
  private static func escaped(_ text: String) -> String {
    let plain = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~".utf8)
    return text.utf8.reduce(into: "") { out, byte in
      out += plain.contains(byte) ? String(UnicodeScalar(byte)) : String(format: "%%%02X", Int(byte))
    }
  }
}
