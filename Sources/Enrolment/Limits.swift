/// The bounds of enrolment. Decoders refuse what lies outside; encoders never produce it.
public enum EnrolmentLimits {
  /// Bytes of one frame: also the largest message that the enrolment port takes.
  public static let frameBytesMax = 1024
  /// Bytes of a join token's secret: 160 random bits cannot be guessed, so their hash needs no salt.
  public static let secretBytes = 20
  /// Endpoints of one join string, and of one answer.
  public static let endpointsMax = 4
  /// Bytes of one endpoint, `HOST:PORT`; a DNS name has at most 253.
  public static let endpointBytesMax = 160
  /// Bytes of an agent's version text.
  public static let versionBytesMax = 64
  /// Bytes of what a refusal says, and of the next step it names.
  public static let textBytesMax = 240
  /// Characters of a join string, line breaks included. The longest has 1,170.
  public static let joinStringCharactersMax = 1400
}
