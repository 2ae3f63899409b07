/// A client that has proved to own a key and asks to come in.
public struct AdmissionRequest: Sendable, Hashable {
  /// The domain of the server socket it came to: tells the ingest port from the enrolment port.
  public let domain: String
  /// The client's IP address.
  public let address: String
  public let key: PublicKey

  public init(domain: String, address: String, key: PublicKey) {
    self.domain = domain
    self.address = address
    self.key = key
  }
}

/// What an authority decides.
public enum Admission: Sendable, Hashable {
  /// Let in; every payload frame of the connection carries this `Message.userID`. 1 to 255 bytes.
  case admit(userID: String)
  /// Turned away without a word, so that the client keeps trying quietly and comes in once it is enrolled.
  ///
  /// Deliberately the only refusal: libzmq's harder answers (400, 500) end the client's session for ever.
  case refuse
}

/// Knows which keys may come in. Asked once per connection, during its handshake.
///
/// Thread rule: called on the context's admission thread, one request at a time; a slow answer delays every handshake.
/// Takes effect for new connections: to cut an existing one, see `ConnectionID.shutdown()`. Must not hold the context,
/// which holds it.
public protocol KeyAuthority: Sendable {
  func decide(_ request: AdmissionRequest) -> Admission
}
