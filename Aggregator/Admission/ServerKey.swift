internal import BongsuEnrolment
public import BongsuTransport

/// The aggregator's own key pair: what nodes know it by. Losing it means that every node has to join again, so it belongs
/// into the backup; who has it can pass for the aggregator.
///
///     DIRECTORY/server.key     mode 0600:  bongsu-server-key 1 ⏎ secret key in Z85 ⏎
public enum ServerKey {
  private static let mark = "bongsu-server-key 1"

  /// Reads the pair, or makes one when there is none.
  ///
  /// - Throws: ``SecretFile/Failure``, ``Unreadable``; ``TransportError/curveUnavailable``.
  public static func load(from directory: String) throws -> KeyPair {
    let path = "\(directory)/server.key"
    if let text = try SecretFile.read(path) {
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      guard lines.count == 3, lines[0] == mark, lines[2].isEmpty, let secret = try? SecretKey(z85: String(lines[1]))
      else { throw Unreadable(path: path) }
      return try KeyPair(secret: secret)
    }
    let pair = try KeyPair.generate()
    try SecretFile.makeDirectory(directory)
    try SecretFile.write("\(mark)\n\(pair.secret.z85)\n", to: path)
    return pair
  }

  /// The key file is there and cannot be understood. It is never replaced by itself: all nodes would be locked out.
  public struct Unreadable: Error, Hashable, Sendable, CustomStringConvertible {
    public let path: String

    public var description: String {
      "\(path) is not the key file of an aggregator; restore it from the backup, or remove it and let every node join again"
    }
  }
}
