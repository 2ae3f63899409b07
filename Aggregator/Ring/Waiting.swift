internal import CBongsuPlatform
internal import Glibc

/// Waits on a doorbell until `look` has an answer: spin, yield, park.
///
/// `look` returns `nil` for "nothing yet"; it is called at least once after the doorbell is armed.
@usableFromInline
func wait(
  on doorbell: borrowing Doorbell, for timeout: Duration?, _ strategy: WaitStrategy, look: () -> Availability?
) -> Availability {
  if let found = look() { return found }
  for _ in 0..<strategy.spins {
    bongsu_spin_hint()
    if let found = look() { return found }
  }
  for _ in 0..<strategy.yields {
    sched_yield()
    if let found = look() { return found }
  }
  let deadline = timeout.map { ContinuousClock.now + $0 }
  while true {
    doorbell.arm()
    if let found = look() {
      doorbell.disarm()
      return found
    }
    var remaining: Int64 = -1
    if let deadline {
      remaining = nanoseconds(ContinuousClock.now.duration(to: deadline))
      guard remaining > 0 else {
        doorbell.disarm()
        return .timedOut
      }
    }
    doorbell.sleep(timeoutNanoseconds: remaining)
    if let found = look() {
      doorbell.disarm()
      return found
    }
  }
}

private func nanoseconds(_ duration: Duration) -> Int64 {
  let parts = duration.components
  let (whole, overflow) = parts.seconds.multipliedReportingOverflow(by: 1_000_000_000)
  return overflow ? (parts.seconds < 0 ? 0 : .max) : whole &+ parts.attoseconds / 1_000_000_000
}
