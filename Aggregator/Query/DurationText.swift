/// Durations as Prometheus writes and reads them: `1h30m`, `500ms`, `2w`.
public enum DurationText {
  /// Why a duration was refused.
  public struct Failure: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String
  }

  private static let units: [(name: String, milliseconds: Int64)] = [
    ("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000),
    ("ms", 1),
  ]

  /// Largest duration, in milliseconds: what fits into 64 bits of nanoseconds.
  private static let millisecondsMax = Int64.max / 1_000_000

  /// Reads a duration: numbers with units from the largest to the smallest, each at most once, or a plain `0`.
  public static func parse(_ text: String) throws(Failure) -> Int64 {
    if text.isEmpty { throw Failure(description: "empty duration string") }
    if text == "0" { return 0 }
    let invalid = Failure(description: "not a valid duration string: \"\(text)\"")
    let tooLarge = Failure(description: "duration out of range")
    var total: Int64 = 0
    var nextUnit = 0
    var rest = Array(text.utf8)[...]
    var isTooLarge = false
    while !rest.isEmpty {
      let digits = rest.prefix { (0x30...0x39).contains($0) }
      let letters = rest[digits.endIndex...].prefix { !(0x30...0x39).contains($0) }
      let name = String(decoding: letters, as: UTF8.self)
      guard !digits.isEmpty, let unit = units[nextUnit...].firstIndex(where: { $0.name == name }) else { throw invalid }
      nextUnit = unit + 1
      rest = rest[letters.endIndex...]
      let count = Int64(String(decoding: digits, as: UTF8.self)) ?? Int64.max
      let (product, overflows) = count.multipliedReportingOverflow(by: units[unit].milliseconds)
      let (sum, exceeds) = total.addingReportingOverflow(product)
      isTooLarge = isTooLarge || overflows || exceeds || sum > millisecondsMax
      total = isTooLarge ? 0 : sum
    }
    if isTooLarge { throw tooLarge }
    return total
  }

  /// Writes a duration with the units Prometheus would choose: years, weeks and days only when they divide it exactly.
  public static func format(milliseconds: Int64) -> String {
    if milliseconds == 0 { return "0s" }
    var rest = milliseconds.magnitude
    var out = milliseconds < 0 ? "-" : ""
    for (index, unit) in units.enumerated() {
      let size = UInt64(unit.milliseconds)
      // Units above the hour appear only when nothing would be left over.
      if index < 3, rest % size != 0 { continue }
      let count = rest / size
      if count > 0 {
        out += "\(count)\(unit.name)"
        rest -= count * size
      }
    }
    return out
  }
}
