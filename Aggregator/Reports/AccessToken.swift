/// What the bearer of a token may do.
public enum AccessRole: String, Codable, Sendable, CaseIterable {
  /// Reads.
  case viewer
  /// Reads, lets machines join, cuts nodes off, silences alerts.
  case `operator`
  /// All of that, and makes and ends tokens.
  case admin
}

/// What an administrator asks for when a token is made.
public struct AccessTokenRequest: Codable, Hashable, Sendable {
  /// Unique among tokens that still work; 1 to ``ReportLimits/textBytesMax`` bytes.
  public var name: String
  public var role: AccessRole
  /// Matchers that narrow what it sees, such as `allocation="samsung"`; all must hold. Empty: everything.
  public var matchers: [String]
  /// Seconds until it expires; `nil`: never.
  public var lifeSeconds: Int64?

  private enum CodingKeys: String, CodingKey {
    case name, role, matchers
    case lifeSeconds = "life_seconds"
  }

  public init(name: String, role: AccessRole, matchers: [String] = [], lifeSeconds: Int64? = nil) {
    self.name = name
    self.role = role
    self.matchers = matchers
    self.lifeSeconds = lifeSeconds
  }

  public init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    name = try fields.decode(String.self, forKey: .name)
    role = try fields.decodeIfPresent(AccessRole.self, forKey: .role) ?? .viewer
    matchers = try fields.decodeIfPresent([String].self, forKey: .matchers) ?? []
    lifeSeconds = try fields.decodeIfPresent(Int64.self, forKey: .lifeSeconds)
  }

  /// The first thing that is out of bounds, in words; `nil` when the request may be carried out. Whether the matchers can
  /// be read is not looked at.
  public var objection: String? {
    let isPlain = name.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        || [0x2D, 0x2E, 0x5F].contains(byte)
    }
    if !isPlain || !(1...ReportLimits.accessTokenNameBytesMax).contains(name.utf8.count) {
      return
        "name has \(name.utf8.count) bytes; it must be 1 to \(ReportLimits.accessTokenNameBytesMax) letters, digits, dots, "
        + "underscores and hyphens"
    }
    if matchers.count > ReportLimits.accessTokenMatchersMax {
      return "\(matchers.count) matchers are given; at most \(ReportLimits.accessTokenMatchersMax) are accepted"
    }
    if let long = matchers.first(where: { $0.utf8.count > ReportLimits.textBytesMax }) {
      return "a matcher has \(long.utf8.count) bytes; at most \(ReportLimits.textBytesMax) are accepted"
    }
    if role == .admin, !matchers.isEmpty {
      return "an admin makes tokens for everything, so its token cannot be narrowed by matchers"
    }
    if let lifeSeconds, !(1...ReportLimits.accessTokenLifeSecondsMax).contains(lifeSeconds) {
      return "life_seconds is \(lifeSeconds); it must be 1 to \(ReportLimits.accessTokenLifeSecondsMax) (ten years)"
    }
    return nil
  }
}

/// A token as it is listed: everything but its secret.
public struct AccessTokenReport: Codable, Hashable, Sendable {
  /// Whether it still opens anything.
  public enum State: String, Codable, Sendable {
    case active
    case expired
    case revoked
  }

  public var id: String
  public var name: String
  public var role: AccessRole
  public var matchers: [String]
  public var state: State
  public var createdUnixMilliseconds: Int64
  /// `nil`: never.
  public var expiresUnixMilliseconds: Int64?

  private enum CodingKeys: String, CodingKey {
    case id, name, role, matchers, state
    case createdUnixMilliseconds = "created_ms"
    case expiresUnixMilliseconds = "expires_ms"
  }

  public init(
    id: String, name: String, role: AccessRole, matchers: [String], state: State, createdUnixMilliseconds: Int64,
    expiresUnixMilliseconds: Int64?
  ) {
    self.id = id
    self.name = name
    self.role = role
    self.matchers = matchers
    self.state = state
    self.createdUnixMilliseconds = createdUnixMilliseconds
    self.expiresUnixMilliseconds = expiresUnixMilliseconds
  }
}

/// A token just made. The only time that its secret leaves the aggregator.
public struct CreatedAccessToken: Codable, Hashable, Sendable {
  /// What goes behind `Authorization: Bearer`, and into `BONGSU_TOKEN`.
  public var secret: String
  public var token: AccessTokenReport

  public init(secret: String, token: AccessTokenReport) {
    self.secret = secret
    self.token = token
  }
}

/// The answer to listing tokens.
public struct AccessTokenList: Codable, Hashable, Sendable {
  public var tokens: [AccessTokenReport]
  public init(tokens: [AccessTokenReport]) { self.tokens = tokens }
}

/// Who somebody is to the aggregator: the answer of `/api/bongsu/v1/whoami` and of a login.
public struct AccessReport: Codable, Hashable, Sendable {
  /// Name of the token; `nil` for somebody without one.
  public var name: String?
  public var role: AccessRole
  /// Matchers that narrow what is seen; empty: everything.
  public var matchers: [String]

  public init(name: String?, role: AccessRole, matchers: [String]) {
    self.name = name
    self.role = role
    self.matchers = matchers
  }
}
