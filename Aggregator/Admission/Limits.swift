/// The bounds of admission.
public enum AdmissionLimits {
  /// Connections to the enrolment port at once, and how long one may last. A join takes milliseconds; what is slower
  /// waits in the kernel's queue.
  public static let enrolmentConnectionsMax = 256
  static let connectionMilliseconds: Int64 = 15_000
  /// How long a machine may take to hang up after its answer.
  static let farewellMilliseconds: Int64 = 1000

  /// Refused attempts of one address within a window before it has to wait for the next one.
  static let attemptsMax = 10
  static let attemptWindowMilliseconds: Int64 = 60_000
  /// Addresses whose attempts are counted one by one; the rest share one count of `attemptsMax` times this many.
  static let addressesMax = 4096
  static let sharedAttemptsFactor = 10

  /// Lines for people between two readings, and how often the same thing is said again.
  static let newsMax = 256
  static let repeatMilliseconds: Int64 = 600_000
  /// Things said that are remembered.
  static let saidMax = 1024

  /// Join tokens that are kept, spent and expired ones included.
  public static let tokensMax = 100_000
  /// Access tokens that are kept, ended ones included.
  public static let accessTokensMax = 10_000
}
