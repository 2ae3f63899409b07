/// Slows down who tries secrets. Pure and bounded: a window per address, one shared window for all addresses beyond
/// those that are remembered.
///
/// Secrets have 160 random bits, so this protects the log, the registry and the processor rather than the secrets.
struct AttemptLimiter {
  private struct Window {
    var began: Int64
    var refused = 0
  }

  private var windows: [String: Window] = [:]
  private var shared = Window(began: .min)

  /// Milliseconds until `address` may ask again; `nil` when it may now.
  func wait(_ address: String, at now: Int64) -> Int64? {
    let length = AdmissionLimits.attemptWindowMilliseconds
    guard let window = windows[address] else {
      guard isFull, shared.refused >= sharedMax, now < shared.began + length else { return nil }
      return shared.began + length - now
    }
    guard window.refused >= AdmissionLimits.attemptsMax, now < window.began + length else { return nil }
    return window.began + length - now
  }

  /// Notes that `address` was refused.
  ///
  /// - Returns: whether it was the refusal after which it has to wait.
  mutating func noteRefusal(_ address: String, at now: Int64) -> Bool {
    let length = AdmissionLimits.attemptWindowMilliseconds
    if windows[address] == nil, isFull { windows = windows.filter { now < $0.value.began + length } }
    guard windows[address] != nil || !isFull else {
      if shared.began == .min || now >= shared.began + length { shared = Window(began: now) }
      shared.refused += 1
      return shared.refused == sharedMax
    }
    var window = windows[address] ?? Window(began: now)
    if now >= window.began + length { window = Window(began: now) }
    window.refused += 1
    windows[address] = window
    return window.refused == AdmissionLimits.attemptsMax
  }

  /// Addresses remembered.
  var count: Int { windows.count }

  private var isFull: Bool { windows.count >= AdmissionLimits.addressesMax }
  private var sharedMax: Int { AdmissionLimits.attemptsMax * AdmissionLimits.sharedAttemptsFactor }
}
