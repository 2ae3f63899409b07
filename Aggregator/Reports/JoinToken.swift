/// What an operator asks for when a join token is made.
public struct JoinTokenRequest: Codable, Hashable, Sendable {
  /// How many tokens, 1 to ``ReportLimits/joinTokensPerRequestMax``.
  public var count: Int
  /// How many machines each may enrol, 1 to ``ReportLimits/joinTokenUsesMax``.
  public var uses: Int
  /// Seconds until it expires, 1 to ``ReportLimits/joinTokenLifeSecondsMax``.
  public var lifeSeconds: Int64
  /// Node patterns that it is limited to, such as `r[001-120]-n[01-04]`; empty for any node.
  public var nodePatterns: [String]
  /// For people; at most ``ReportLimits/textBytesMax`` bytes.
  public var comment: String?

  private enum CodingKeys: String, CodingKey {
    case count, uses, comment
    case lifeSeconds = "life_seconds"
    case nodePatterns = "node_patterns"
  }

  public init(
    count: Int = 1, uses: Int = 1, lifeSeconds: Int64 = ReportLimits.joinTokenLifeSecondsDefault,
    nodePatterns: [String] = [],
    comment: String? = nil
  ) {
    self.count = count
    self.uses = uses
    self.lifeSeconds = lifeSeconds
    self.nodePatterns = nodePatterns
    self.comment = comment
  }

  /// Reads a request; a missing field has its default.
  public init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    let defaults = JoinTokenRequest()
    count = try fields.decodeIfPresent(Int.self, forKey: .count) ?? defaults.count
    uses = try fields.decodeIfPresent(Int.self, forKey: .uses) ?? defaults.uses
    lifeSeconds = try fields.decodeIfPresent(Int64.self, forKey: .lifeSeconds) ?? defaults.lifeSeconds
    nodePatterns = try fields.decodeIfPresent([String].self, forKey: .nodePatterns) ?? defaults.nodePatterns
    comment = try fields.decodeIfPresent(String.self, forKey: .comment)
  }

  /// The first thing that is out of bounds, in words; `nil` when the request may be carried out.
  public var objection: String? {
    if !(1...ReportLimits.joinTokensPerRequestMax).contains(count) {
      return "count is \(count); it must be 1 to \(ReportLimits.joinTokensPerRequestMax)"
    }
    if !(1...ReportLimits.joinTokenUsesMax).contains(uses) {
      return "uses is \(uses); it must be 1 to \(ReportLimits.joinTokenUsesMax)"
    }
    if !(1...ReportLimits.joinTokenLifeSecondsMax).contains(lifeSeconds) {
      return "life_seconds is \(lifeSeconds); it must be 1 to \(ReportLimits.joinTokenLifeSecondsMax) (30 days)"
    }
    if nodePatterns.count > ReportLimits.joinTokenPatternsMax {
      return
        "node_patterns has \(nodePatterns.count) entries; at most \(ReportLimits.joinTokenPatternsMax) are accepted"
    }
    if let long = nodePatterns.first(where: { $0.isEmpty || $0.utf8.count > ReportLimits.textBytesMax }) {
      return "a node pattern has \(long.utf8.count) bytes; it must have 1 to \(ReportLimits.textBytesMax)"
    }
    if let comment, comment.utf8.count > ReportLimits.textBytesMax {
      return "comment has \(comment.utf8.count) bytes; at most \(ReportLimits.textBytesMax) are accepted"
    }
    return nil
  }
}

/// A join token as it is listed: everything but its secret.
public struct JoinTokenReport: Codable, Hashable, Sendable {
  /// Whether it still lets machines in.
  public enum State: String, Codable, Sendable {
    case open
    case spent
    case expired
    case revoked
  }

  /// Names it in lists and for revoking.
  public var id: String
  public var state: State
  public var createdUnixMilliseconds: Int64
  public var expiresUnixMilliseconds: Int64
  public var usesTotal: Int
  public var usesLeft: Int
  public var nodePatterns: [String]
  public var comment: String?

  private enum CodingKeys: String, CodingKey {
    case id, state, comment
    case createdUnixMilliseconds = "created_ms"
    case expiresUnixMilliseconds = "expires_ms"
    case usesTotal = "uses_total"
    case usesLeft = "uses_left"
    case nodePatterns = "node_patterns"
  }

  public init(
    id: String, state: State, createdUnixMilliseconds: Int64, expiresUnixMilliseconds: Int64, usesTotal: Int,
    usesLeft: Int, nodePatterns: [String] = [], comment: String? = nil
  ) {
    self.id = id
    self.state = state
    self.createdUnixMilliseconds = createdUnixMilliseconds
    self.expiresUnixMilliseconds = expiresUnixMilliseconds
    self.usesTotal = usesTotal
    self.usesLeft = usesLeft
    self.nodePatterns = nodePatterns
    self.comment = comment
  }
}

/// A join token just made. The only time that its secret leaves the aggregator.
public struct CreatedJoinToken: Codable, Hashable, Sendable {
  /// What `bongsu-agent join` takes: server key, endpoint and secret in one string.
  public var joinString: String
  public var token: JoinTokenReport

  private enum CodingKeys: String, CodingKey {
    case token
    case joinString = "join_string"
  }

  public init(joinString: String, token: JoinTokenReport) {
    self.joinString = joinString
    self.token = token
  }
}

/// The answer to making join tokens.
public struct CreatedJoinTokens: Codable, Hashable, Sendable {
  public var tokens: [CreatedJoinToken]
  public init(tokens: [CreatedJoinToken]) { self.tokens = tokens }
}

/// The answer to listing join tokens.
public struct JoinTokenList: Codable, Hashable, Sendable {
  public var tokens: [JoinTokenReport]
  public init(tokens: [JoinTokenReport]) { self.tokens = tokens }
}
