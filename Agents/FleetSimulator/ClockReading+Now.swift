import BongsuSampling
import BongsuWire

extension ClockReading {
  /// Both clocks of this machine.
  static func now() -> ClockReading {
    let instant = ClockInstant.now
    return ClockReading(
      unixMilliseconds: instant.wallNanoseconds / 1_000_000,
      boottimeMilliseconds: instant.boottimeNanoseconds / 1_000_000)
  }
}
