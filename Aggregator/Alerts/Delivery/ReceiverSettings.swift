/// A place that alerts are sent to.
public struct ReceiverSettings: Sendable {
  public enum Kind: Sendable, Hashable {
    /// One member of an Alertmanager cluster.
    case alertmanager
    /// Any address that takes JSON.
    case webhook
    /// A program of this machine, with the JSON on its standard input.
    case command([String])
  }

  /// Who the aggregator says it is.
  public enum Credentials: Sendable, Hashable {
    case none
    case basic(user: String, password: String)
    case bearer(String)
  }

  /// How an HTTPS receiver is checked and how the aggregator proves itself.
  public struct TLS: Sendable, Hashable {
    /// Certificates of the authorities that are believed, a PEM file; `nil`: those of the system.
    public var authorityFile: String?
    /// Certificate and key of the aggregator, PEM files.
    public var certificateFile: String?
    public var keyFile: String?
    /// Takes any certificate. For trials only.
    public var skipsVerification = false

    public init() {}
  }

  /// Unique; the name in messages, in the state and on disk.
  public var name: String
  public var kind: Kind
  /// Where to POST; empty for a command.
  public var url: String
  public var credentials = Credentials.none
  public var tls = TLS()
  /// Key of the signature over the body; `nil`: unsigned.
  public var secret: String?
  public var timeoutMilliseconds: Int64 = 10_000
  public var queue = DeliveryQueue.Settings()

  public init(name: String, kind: Kind, url: String) {
    self.name = name
    self.kind = kind
    self.url = url
    // Alertmanager forgets what it is not told again.
    queue.resendMilliseconds = kind == .alertmanager ? 60_000 : nil
  }

  /// An Alertmanager at `url`, to which the path of its interface is added.
  public static func alertmanager(_ url: String) -> ReceiverSettings {
    let base = url.hasSuffix("/") ? String(url.dropLast()) : url
    return ReceiverSettings(name: "alertmanager:\(base)", kind: .alertmanager, url: "\(base)/api/v2/alerts")
  }
}
