/// Where a machine listens: `HOST:PORT`, with IPv6 addresses in brackets.
public struct HostPort: Hashable, Sendable, CustomStringConvertible {
  /// Name or address, brackets included; empty: the host by which the sender was reached.
  public let host: String
  /// 1 to 65,535.
  public let port: Int

  /// Accepts a port that can be connected to and a host that is safe in a libzmq endpoint and in a line of text.
  public init?(host: String, port: Int) {
    let isPlain = host.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        || byte == 0x2D || byte == 0x2E || byte == 0x5F || byte == 0x3A || byte == 0x5B || byte == 0x5D || byte == 0x25
    }
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]") && host.utf8.count > 2
    let colons = host.utf8.count { $0 == 0x3A }
    let brackets = host.utf8.count { $0 == 0x5B || $0 == 0x5D }
    guard isPlain, (1...65_535).contains(port), isBracketed ? brackets == 2 : (colons == 0 && brackets == 0) else {
      return nil
    }
    self.host = host
    self.port = port
    guard description.utf8.count <= EnrolmentLimits.endpointBytesMax else { return nil }
  }

  /// Reads `HOST:PORT`.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    let digits = text[text.index(after: colon)...]
    guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let port = Int(digits)
    else { return nil }
    self.init(host: String(text[..<colon]), port: port)
  }

  public var description: String { "\(host):\(port)" }

  /// The form that libzmq takes.
  public var tcpEndpoint: String { "tcp://\(description)" }

  /// Whether only this machine can be behind it.
  public var isLoopback: Bool { host == "localhost" || host == "[::1]" || Self.isLoopbackAddress(host) }

  /// This place, with `other` where no host is named.
  public func orHost(of other: HostPort) -> HostPort {
    host.isEmpty ? HostPort(host: other.host, port: port) ?? other : self
  }

  /// Whether `host` is an address in 127.0.0.0/8; `127.example.com` is a name and not one.
  private static func isLoopbackAddress(_ host: String) -> Bool {
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }
}
