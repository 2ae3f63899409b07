internal import BongsuEnrolment
public import BongsuTransport

/// The aggregator's own key pair: what nodes know it by. Losing it means that every node has to join again, so it belongs
/// into the backup; who has it can pass for the aggregator.
///
///     DIRECTORY/server.key     mode 0600, the secret key in Z85 as a ``BongsuEnrolment/KeptSecret``
public enum ServerKey {
  private static let mark = "bongsu-server-key"

  /// Reads the pair, or makes one when there is none.
  ///
  /// - Parameter say: told when one of its copies was damaged; it is written anew then.
  /// - Throws: ``SecretFile/Failure``, ``Unreadable``; ``TransportError/curveUnavailable``.
  public static func load(from directory: String, say: (String) -> Void = { _ in }) throws -> KeyPair {
    let path = "\(directory)/server.key"
    if let text = try SecretFile.read(path) {
      guard let reading = KeptSecret.read(text, mark: mark), let secret = try? SecretKey(z85: reading.secret) else {
        throw Unreadable(path: path)
      }
      if !reading.isWhole { say("\(path) was damaged in one of its two copies, and is written anew from the other") }
      if !reading.isWhole || reading.isOld {
        try SecretFile.write(KeptSecret.text(reading.secret, mark: mark), to: path)
      }
      return try KeyPair(secret: secret)
    }
    let pair = try KeyPair.generate()
    try SecretFile.makeDirectory(directory)
    try SecretFile.write(KeptSecret.text(pair.secret.z85, mark: mark), to: path)
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
