internal import Glibc

/// Clocks as plain integers, for threads that cannot afford allocation or Foundation.
enum MonotonicClock {
  /// Nanoseconds of `CLOCK_MONOTONIC`.
  static func nanoseconds() -> Int64 { read(CLOCK_MONOTONIC) }

  private static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    // SAFETY: the structure is local.
    unsafe clock_gettime(clock, &time)
    return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
  }
}

enum WallClock {
  /// Milliseconds since 1970 in UTC.
  static func unixMilliseconds() -> Int64 {
    var time = timespec()
    // SAFETY: the structure is local.
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
  }
}

/// Lets the calling thread sleep.
func pause(milliseconds: Int) {
  var time = timespec(tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000)
  // SAFETY: the structure is local; a signal may cut the sleep short, which callers expect.
  unsafe nanosleep(&time, nil)
}
