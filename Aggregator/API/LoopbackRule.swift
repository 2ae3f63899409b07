/// What counts as this machine talking to itself.
enum LoopbackRule {
  /// Whether a host, as configured or as in a `Host` header without its port, is this machine by definition. Names other
  /// than `localhost` are not looked up: a name's address may change under us, which is how pages from elsewhere reach
  /// local services.
  static func isLoopback(host: String) -> Bool {
    let host = host.lowercased()
    if host == "localhost" || host == "::1" || host == "[::1]" { return true }
    return isLoopbackIPv4(host)
  }

  /// Whether a peer's numeric address is this machine's own, also when IPv4 comes mapped into IPv6.
  static func isLoopback(address: String) -> Bool {
    let address = address.lowercased()
    if address == "::1" { return true }
    let mapped = "::ffff:"
    return isLoopbackIPv4(address.hasPrefix(mapped) ? String(address.dropFirst(mapped.count)) : address)
  }

  /// The host of a `Host` header, its port cut off.
  static func host(ofAuthority authority: String) -> String {
    if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") { return String(authority[...end]) }
    return String(authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)[0])
  }

  /// 127.0.0.0/8 in four decimal parts.
  private static func isLoopbackIPv4(_ text: String) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4, parts.allSatisfy({ UInt8($0) != nil && $0.utf8.count <= 3 }) else { return false }
    return parts[0] == "127"
  }
}
