/// A refusal as the API writes it: `{"error":{"code":…,"message":…,"next_step":…}}`.
public struct ErrorReport: Codable, Hashable, Sendable {
  /// The refusal itself.
  public struct Refusal: Codable, Hashable, Sendable {
    /// Stable word of the API's error catalogue.
    public var code: String
    /// What failed, the value seen, the limit.
    public var message: String
    /// What to do about it.
    public var nextStep: String

    private enum CodingKeys: String, CodingKey {
      case code, message
      case nextStep = "next_step"
    }
  }

  public var error: Refusal

  public init(code: String, message: String, nextStep: String) {
    error = Refusal(code: code, message: message, nextStep: nextStep)
  }
}
