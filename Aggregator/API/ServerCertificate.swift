internal import Foundation
internal import NIOCore
internal import NIOSSL
internal import Synchronization

/// Certificate and key of the HTTP server. They are read again on demand: certificates are renewed every few weeks, and
/// nobody restarts an aggregator for that. Connections that are open keep the pair they began with.
///
/// Thread rule: any thread.
final class ServerCertificate: Sendable {
  private let files: APIConfiguration.Encryption
  private let pair: Mutex<Pair>

  private struct Pair {
    var override: NIOSSLContextConfigurationOverride
    /// When the server's own certificate ends, seconds since 1970.
    var expiry: Int64
  }

  /// Reads the files and tries them out.
  init(_ files: APIConfiguration.Encryption) throws(APIConfigurationError) {
    self.files = files
    pair = Mutex(try Self.read(files))
  }

  /// When the certificate in use ends, seconds since 1970.
  var expirySeconds: Int64 { pair.withLock { $0.expiry } }

  /// Reads the files again. What cannot be used leaves the pair of before in place.
  func reload() throws(APIConfigurationError) {
    let fresh = try Self.read(files)
    pair.withLock { $0 = fresh }
  }

  /// TLS 1.2 and later, each connection with the pair that is newest when it begins.
  func configuration() -> TLSConfiguration {
    let current = pair.withLock { $0.override }
    guard let chain = current.certificateChain, let key = current.privateKey else {
      preconditionFailure("a pair without certificate or key")
    }
    var configuration = Self.configuration(chain, key)
    configuration.sslContextCallback = { [self] _, promise in promise.succeed(pair.withLock { $0.override }) }
    return configuration
  }

  private static func configuration(
    _ chain: [NIOSSLCertificateSource], _ key: NIOSSLPrivateKeySource
  ) -> TLSConfiguration {
    var configuration = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: key)
    configuration.minimumTLSVersion = .tlsv12
    return configuration
  }

  private static func bytes(_ path: String) throws(APIConfigurationError) -> [UInt8] {
    do { return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) } catch {
      throw .unusableCertificate(path: path, reason: (error as NSError).localizedDescription)
    }
  }

  private static func read(_ files: APIConfiguration.Encryption) throws(APIConfigurationError) -> Pair {
    let chain: [NIOSSLCertificate]
    let chainBytes = try bytes(files.certificatePath)
    do { chain = try NIOSSLCertificate.fromPEMBytes(chainBytes) } catch { chain = [] }
    guard let first = chain.first else {
      throw .unusableCertificate(path: files.certificatePath, reason: "it holds no certificate that can be read")
    }
    let key: NIOSSLPrivateKeySource
    let keyBytes = try bytes(files.keyPath)
    do { key = .privateKey(try NIOSSLPrivateKey(bytes: keyBytes, format: .pem)) } catch {
      throw .unusableCertificate(path: files.keyPath, reason: "it holds no private key that can be read")
    }
    let sources = chain.map { NIOSSLCertificateSource.certificate($0) }
    // A key that does not fit the certificate is told now, not to the first who connects.
    do { _ = try NIOSSLContext(configuration: configuration(sources, key)) } catch {
      throw .unusableCertificate(
        path: files.certificatePath, reason: "it does not fit the key in \(files.keyPath) (\(error))")
    }
    var override = NIOSSLContextConfigurationOverride()
    override.certificateChain = sources
    override.privateKey = key
    return Pair(override: override, expiry: Int64(first.notValidAfter))
  }
}
