/// Where the HTTP API listens and who may use it.
public struct APIConfiguration: Sendable {
  /// Numeric address or host name to listen on.
  public var host: String
  /// TCP port; 0 lets the system choose.
  public var port: Int
  /// The bearer token that every request must carry, but those to `/-/healthy` and `/-/ready`. Without one, reading is
  /// open to whoever reaches the port, and changing things is kept to loopback.
  public var adminToken: String?
  /// Allows listening beyond loopback without encryption, behind a proxy or on a network that is trusted.
  public var allowsInsecureListen: Bool
  /// Certificate chain and key for TLS, as PEM; `nil`: plain HTTP.
  public var encryption: Encryption?
  /// Whether this machine needs a token as well, for instance because a proxy on it passes others' requests on.
  public var requiresToken: Bool
  /// Folder that the web page's files are read from instead of those built in, for work on the page.
  public var pageDirectory: String?
  /// Whether windows and lookbacks of queries leave their first instant out, as Prometheus 3 has it; else 2.42.
  public var opensRangesLeft = false
  /// How long a connection may keep the server waiting.
  public var patience = Patience()
  /// Requests worked on at once, probes aside; further ones are refused with 503.
  public var requestsMax = APILimits.requestsMax
  /// Connections served at once; further ones wait in the kernel's queue.
  public var connectionsMax = APILimits.connectionsMax
  /// Release of the aggregator, for the `Server` header and the build information.
  public var version: String

  /// The documented defaults: loopback, port 7480, no token, no encryption.
  public init(
    host: String = "127.0.0.1", port: Int = 7480, adminToken: String? = nil, allowsInsecureListen: Bool = false,
    encryption: Encryption? = nil, requiresToken: Bool = false, pageDirectory: String? = nil, version: String
  ) {
    self.host = host
    self.port = port
    self.adminToken = adminToken
    self.allowsInsecureListen = allowsInsecureListen
    self.encryption = encryption
    self.requiresToken = requiresToken
    self.pageDirectory = pageDirectory
    self.version = version
  }

  /// How long a connection may keep the server waiting before it is closed.
  public struct Patience: Hashable, Sendable {
    /// Without a request, or within the head of one.
    public var idle = Duration.seconds(APILimits.idleSecondsMax)
    /// From the head of a request to its end.
    public var body = Duration.seconds(APILimits.bodySecondsMax)
    /// With an answer that the other end does not read.
    public var stall = Duration.seconds(APILimits.stallSecondsMax)

    /// The documented bounds.
    public init() {}
  }

  /// Files in PEM.
  public struct Encryption: Hashable, Sendable {
    /// The server's certificate and those that lead to its authority, in this order.
    public var certificatePath: String
    public var keyPath: String

    /// Names the files; they are read when the server starts, and again at a reload.
    public init(certificatePath: String, keyPath: String) {
      self.certificatePath = certificatePath
      self.keyPath = keyPath
    }
  }

  /// Whether other machines can reach the port.
  var isExposed: Bool { !LoopbackRule.isLoopback(host: host) }

  /// Whether other machines may read without a token: only where the network is said to be trusted.
  var isOpenToRead: Bool { !isExposed || allowsInsecureListen }

  /// Checks everything, the certificate's files too, without serving.
  public func check() throws(APIConfigurationError) {
    try validate()
    if let encryption { _ = try ServerCertificate(encryption) }
  }

  /// Checks the parts against each other before anything starts.
  public func validate() throws(APIConfigurationError) {
    guard (0...65_535).contains(port) else { throw .portOutOfRange(port) }
    if let adminToken {
      let isPrintable = adminToken.utf8.allSatisfy { (0x21...0x7E).contains($0) }
      guard isPrintable, (APILimits.tokenBytesMin...APILimits.tokenBytesMax).contains(adminToken.utf8.count) else {
        throw .unusableToken(bytes: adminToken.utf8.count)
      }
    }
    guard isExposed, encryption == nil else { return }
    guard allowsInsecureListen else { throw .exposedWithoutConsent(host: host, hasToken: adminToken != nil) }
  }
}

/// Why a configuration is not accepted.
public enum APIConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
  case portOutOfRange(Int)
  case unusableToken(bytes: Int)
  case exposedWithoutConsent(host: String, hasToken: Bool)
  case unusableCertificate(path: String, reason: String)

  public var description: String {
    switch self {
    case .portOutOfRange(let port):
      "http port is \(port); it must be 0 to 65535"
    case .unusableToken(let bytes):
      "the http token has \(bytes) bytes; it must be \(APILimits.tokenBytesMin) to \(APILimits.tokenBytesMax) printable ASCII "
        + "characters without spaces; make one with `openssl rand -hex 32`"
    case .exposedWithoutConsent(let host, let hasToken):
      "http would listen on \(host), which other machines reach, without encryption\(hasToken ? "" : " and without a token"); "
        + "listen on 127.0.0.1, give --http-tls-certificate and --http-tls-key, or say allow-insecure-listen if the "
        + "network is trusted"
    case .unusableCertificate(let path, let reason):
      "http cannot be encrypted with \(path): \(reason); give PEM files of a certificate chain and its key"
    }
  }
}
