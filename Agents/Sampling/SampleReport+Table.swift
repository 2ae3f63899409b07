import BongsuDevices
import BongsuModel

extension SampleReport {
  /// Devices side by side in one block of the table.
  private static let devicesPerBlock = 8

  /// The reading as aligned text: the sources, then for each kind of device its metrics line by line, devices side by side.
  /// Absent readings are `-`. Ends with a line feed.
  public func table() -> String {
    var lines: [String] = []
    let width = conditions.map(\.name.count).max() ?? 0
    for (name, condition) in conditions {
      let word = condition.word
      lines.append(
        "source \(padded(name, width))  \(padded(word, 11))  \(word == "released" ? "" : condition.description)")
    }
    lines += remarks
    lines.append("tick   \(Timestamp.text(stamp.tick))")
    for scope in [DeviceScope.gpu, .module, .node] {
      let devices = layout.devices(in: scope)
      for start in stride(from: 0, to: devices.count, by: Self.devicesPerBlock) {
        let block = start..<min(start + Self.devicesPerBlock, devices.count)
        lines.append("")
        lines += self.block(scope, devices, block)
      }
    }
    return lines.map(trimmedEnd).joined(separator: "\n") + "\n"
  }

  private func block(_ scope: DeviceScope, _ devices: [Device], _ block: Range<Int>) -> [String] {
    let title = "\(scope)"
    var cells: [[String]] = [[title, ""] + block.map { scope == .node ? "" : String(devices[$0].index) }]
    for (number, column) in layout.columns.enumerated() where column.scope == scope {
      let readings = block.map { value(column: number, device: $0) }
      let unit = DisplayUnit(column.unit)
      cells.append([Self.shortName(column), unit.name] + readings.map { unit.text($0) })
    }
    let columnCount = block.count + 2
    let widths = (0..<columnCount).map { column in cells.map { $0[column].count }.max() ?? 0 }
    return cells.map { line in
      var text = padded(line[0], widths[0]) + "  " + padded(line[1], widths[1])
      for column in 2..<columnCount { text += "  " + leftPadded(line[column], widths[column]) }
      return text
    }
  }

  /// `power` for `bongsu_gpu_power_watts`: without prefix and unit.
  private static func shortName(_ metric: Metric) -> String {
    var name = metric.name[...]
    for prefix in ["bongsu_gpu_", "bongsu_module_", "bongsu_node_", "bongsu_"] where name.hasPrefix(prefix) {
      name = name.dropFirst(prefix.count)
      break
    }
    if name.hasSuffix("_total") { name = name.dropLast(6) }
    let unit = metric.unit.exposedUnit
    if !unit.isEmpty, name.hasSuffix("_" + unit) { name = name.dropLast(unit.count + 1) }
    return name.map { $0 == "_" ? " " : String($0) }.joined()
  }

  private func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(width - text.count, 0))
  }

  private func leftPadded(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(width - text.count, 0)) + text
  }

  private func trimmedEnd(_ line: String) -> String {
    var end = line[...]
    while end.last == " " { end.removeLast() }
    return String(end)
  }
}

/// The unit in which people read a wire unit.
private struct DisplayUnit {
  let name: String
  /// Divisor from the wire unit; decimal places shown at most.
  private let divisor: Int64
  private let isMask: Bool

  init(_ unit: WireUnit) {
    isMask = unit == .bits
    (name, divisor) =
      switch unit {
      case .count, .bits: ("", 1)
      case .milliwatt: ("W", 1000)
      case .millijoule: ("kJ", 1_000_000)
      case .permille: ("%", 10)
      case .kibibyte: ("MiB", 1024)
      case .byte: ("MiB", 1 << 20)
      case .decicelsius: ("°C", 10)
      case .megahertz: ("MHz", 1)
      case .microsecond: ("s", 1_000_000)
      }
  }

  func text(_ value: SampleValue) -> String {
    guard let reading = value.reading else { return "-" }
    if isMask { return "0x" + String(reading, radix: 16) }
    return DecimalText.text(reading, dividedBy: divisor, places: 3)
  }
}

/// Decimal text of quotients, by integer arithmetic.
enum DecimalText {
  /// `value` ÷ `divisor` with at most `places` decimal places, rounded to nearest, without trailing zeros.
  static func text(_ value: Int64, dividedBy divisor: Int64, places: Int) -> String {
    var scale: Int64 = 1
    for _ in 0..<places { scale *= 10 }
    let (whole, rest) = value.magnitude.quotientAndRemainder(dividingBy: UInt64(divisor))
    var fraction = (rest * UInt64(scale) + UInt64(divisor) / 2) / UInt64(divisor)
    var integer = whole
    if fraction >= UInt64(scale) {
      fraction = 0
      integer += 1
    }
    let sign = value < 0 && (integer > 0 || fraction > 0) ? "-" : ""
    guard fraction > 0 else { return "\(sign)\(integer)" }
    var digits = String(fraction)
    digits = String(repeating: "0", count: places - digits.count) + digits
    while digits.last == "0" { digits.removeLast() }
    return "\(sign)\(integer).\(digits)"
  }
}

/// Instants as text.
enum Timestamp {
  /// `2026-11-21T22:30:00.000Z` for the tick. The date is that of the proleptic Gregorian calendar (days to civil date
  /// after H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
  static func text(_ tick: Tick) -> String {
    let days = tick.unixMilliseconds.flooredDivision(by: 86_400_000)
    let inDay = tick.unixMilliseconds - days * 86_400_000
    let shifted = days + 719_468
    let era = shifted.flooredDivision(by: 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let time = [inDay / 3_600_000, inDay / 60_000 % 60, inDay / 1000 % 60].map { digits($0, 2) }.joined(separator: ":")
    return "\(digits(year, 4))-\(digits(month, 2))-\(digits(day, 2))T\(time).\(digits(inDay % 1000, 3))Z"
  }

  private static func digits(_ value: Int64, _ count: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(count - text.count, 0)) + text
  }
}
