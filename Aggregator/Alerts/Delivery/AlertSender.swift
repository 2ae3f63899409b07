internal import AsyncHTTPClient
internal import Crypto
internal import Foundation
internal import NIOCore
internal import NIOFoundationCompat
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL

/// Sends batches to one receiver: POSTs, or runs a program. Says what became of each, by name.
///
/// Thread rule: one batch at a time; ``shutdown()`` once, after the last.
final class AlertSender: Sendable {
  let settings: ReceiverSettings
  private let externalURL: String
  private let client: HTTPClient?

  /// Throws a message when certificate files cannot be used.
  init(_ settings: ReceiverSettings, externalURL: String) throws {
    self.settings = settings
    self.externalURL = externalURL
    if case .command = settings.kind {
      client = nil
      return
    }
    var configuration = HTTPClient.Configuration(
      tlsConfiguration: try Self.tls(settings), redirectConfiguration: .disallow,
      timeout: .init(
        connect: .milliseconds(settings.timeoutMilliseconds), read: .milliseconds(settings.timeoutMilliseconds)))
    // A refused connection is a failure like any other: the queue's back-off decides when to try again.
    configuration.connectionPool.retryConnectionEstablishment = false
    client = HTTPClient(eventLoopGroup: .singletonMultiThreadedEventLoopGroup, configuration: configuration)
  }

  func shutdown() async { try? await client?.shutdown() }

  func send(_ events: [AlertEvent], now: Int64) async -> DeliveryQueue.Outcome {
    let body: Data
    do {
      switch settings.kind {
      case .alertmanager:
        // As Prometheus does: four tellings may be lost before an alert counts as over.
        let hold = 4 * (settings.queue.resendMilliseconds ?? 60_000)
        body = try AlertBody.alertmanager(events, now: now, holdMilliseconds: hold)
      case .webhook, .command:
        body = try AlertBody.message(events, receiver: settings.name, externalURL: externalURL)
      }
    } catch {
      return .refused("cannot write the alert as JSON: \(error)")
    }
    if case .command(let words) = settings.kind {
      return await CommandHook.run(words, input: body, timeoutMilliseconds: settings.timeoutMilliseconds)
    }
    return await post(body)
  }

  private func post(_ body: Data) async -> DeliveryQueue.Outcome {
    guard let client else { return .refused("no client") }
    var request = HTTPClientRequest(url: settings.url)
    request.method = .POST
    request.headers.add(name: "Content-Type", value: "application/json")
    request.headers.add(name: "User-Agent", value: "bongsu")
    switch settings.credentials {
    case .none: break
    case .basic(let user, let password):
      let pair = Data("\(user):\(password)".utf8).base64EncodedString()
      request.headers.add(name: "Authorization", value: "Basic \(pair)")
    case .bearer(let token): request.headers.add(name: "Authorization", value: "Bearer \(token)")
    }
    if let secret = settings.secret {
      request.headers.add(name: "X-Bongsu-Signature", value: Self.signature(of: body, secret: secret))
    }
    request.body = .bytes(ByteBuffer(data: body))
    do {
      let response = try await client.execute(request, timeout: .milliseconds(settings.timeoutMilliseconds))
      let status = Int(response.status.code)
      let answer = try? await response.body.collect(upTo: AlertLimits.answerBytesMax)
      if (200..<300).contains(status) { return .delivered }
      let words = answer.map { Self.excerpt(String(buffer: $0)) } ?? "an answer longer than is looked at"
      let reason = "status \(status): \(words)"
      // 4xx says that the same request will fail again, but for these.
      return (400..<500).contains(status) && ![401, 403, 404, 408, 425, 429].contains(status)
        ? .refused(reason) : .failed(reason)
    } catch {
      return .failed(Self.words(error, settings))
    }
  }

  /// `sha256=` and the HMAC of the body in hexadecimal digits.
  static func signature(of body: Data, secret: String) -> String {
    let code = HMAC<SHA256>.authenticationCode(for: body, using: SymmetricKey(data: Data(secret.utf8)))
    return "sha256="
      + code.map { byte in
        let digits = String(byte, radix: 16)
        return digits.utf8.count == 1 ? "0" + digits : digits
      }.joined()
  }

  private static func excerpt(_ text: String) -> String {
    let line = text.split(whereSeparator: \.isNewline).first.map(String.init) ?? "no text"
    return String(line.prefix(200))
  }

  private static func words(_ error: any Error, _ settings: ReceiverSettings) -> String {
    if let error = error as? HTTPClientError {
      switch error {
      case .connectTimeout, .readTimeout, .deadlineExceeded:
        return "no answer within \(settings.timeoutMilliseconds) ms"
      case .remoteConnectionClosed: return "the connection was closed without an answer"
      default: return "\(error)"
      }
    }
    if let error = error as? NIOConnectionError, let first = error.connectionErrors.first?.error as? IOError {
      return "no connection to \(error.host):\(error.port): \(Self.words(errno: first.errnoCode))"
    }
    if let error = error as? IOError {
      return "no connection to \(settings.url): \(Self.words(errno: error.errnoCode))"
    }
    if let error = error as? NIOSSLError, case .handshakeFailed(let cause) = error { return handshake(cause, settings) }
    if let error = error as? NIOSSLExtraError, error == .failedToValidateHostname {
      return "the certificate is for another host than that of \(settings.url)"
    }
    if error is HTTPParserError { return "the answer is no HTTP: \(error)" }
    return String("\(error)".prefix(200))
  }

  private static func words(errno code: CInt) -> String {
    POSIXErrorCode(rawValue: code).map { POSIXError($0).localizedDescription } ?? "errno \(code)"
  }

  /// What was wrong when both sides began to speak TLS. The library tells its reason and a place in its own source.
  private static func handshake(_ cause: BoringSSLError, _ settings: ReceiverSettings) -> String {
    let text = "\(cause)"
    if text.contains("CERTIFICATE_VERIFY_FAILED") {
      return "the certificate is expired or signed by nobody in \(settings.tls.authorityFile ?? "the system's list")"
    }
    let reason = text.components(separatedBy: "OPENSSL_internal:").dropFirst().first?.split(separator: " ").first
    return "no TLS with \(settings.url): \(reason.map(String.init) ?? "the handshake failed")"
  }

  private static func tls(_ settings: ReceiverSettings) throws -> TLSConfiguration {
    var configuration = TLSConfiguration.makeClientConfiguration()
    if settings.tls.skipsVerification { configuration.certificateVerification = .none }
    if let file = settings.tls.authorityFile { configuration.trustRoots = .file(file) }
    if let file = settings.tls.certificateFile {
      configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(file).map { .certificate($0) }
    }
    if let file = settings.tls.keyFile {
      configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: file, format: .pem))
    }
    return configuration
  }
}
