internal import BongsuReports
internal import Foundation

/// The axis of values: its ends and the numbers beside it.
struct ValueAxis {
  let low: Double
  let high: Double
  private let tickStep: Double
  private let quantity: Quantity

  /// An axis on which all finite `values` lie, with a number at about every third row.
  init(values: some Sequence<Double>, rows: Int, _ quantity: Quantity) {
    self.quantity = quantity
    var (least, most) = (Double.infinity, -Double.infinity)
    for value in values where value.isFinite { (least, most) = (min(least, value), max(most, value)) }
    if least > most { (least, most) = (0, 1) }
    // A total that moves by much is judged against nothing; a steady one would be a line at the top.
    if least > 0, least < 0.6 * most { least = 0 }
    if most < 0, most > 0.6 * least { most = 0 }
    if least == most {
      let room = least == 0 ? 1 : least.magnitude * 0.05
      (least, most) = (least - room, most + room)
    }
    // Steps are round numbers in the unit that is shown.
    let (factor, _) = quantity.scale(for: max(least.magnitude, most.magnitude))
    let step = Self.nice((most - least) / factor / Double(max(2, rows * 2 / 5))) * factor
    let (first, last) = ((least / step).rounded(.down) * step, (most / step).rounded(.up) * step)
    // At the ends of what numbers can be there are no round ones.
    let isUsable = step > 0 && first.isFinite && last.isFinite && first < last
    (low, high, tickStep) = isUsable ? (first, last, step) : (least, most, 0)
  }

  /// Where a value lies between the ends, 0 to 1; `nil` when that cannot be told.
  func share(of value: Double) -> Double? {
    // Halves, since the whole span may be more than a number can hold.
    let share = (value / 2 - low / 2) / (high / 2 - low / 2)
    return share.isFinite ? min(1, max(0, share)) : nil
  }

  /// 1, 2 or 5 times a power of ten, at least `value`.
  static func nice(_ value: Double) -> Double {
    let power = pow(10, log10(value).rounded(.down))
    for factor in [1.0, 2, 5] where factor * power >= value * 0.999 { return factor * power }
    return 10 * power
  }

  /// The numbers, by row.
  func labels(rows: Int) -> [Int: String] {
    let (factor, prefix) = quantity.scale(for: max(low.magnitude, high.magnitude))
    let unit = prefix + quantity.symbol
    let step = tickStep / factor
    let decimals = step > 0 && step.isFinite ? max(0, min(6, Int((-log10(step) + 0.001).rounded(.up)))) : 0
    let count = tickStep > 0 ? Int(min(200, ((high - low) / tickStep).rounded())) : 0
    var labels: [Int: String] = [:]
    for index in 0...count {
      let value = low + Double(index) * tickStep
      guard let share = share(of: value) else { continue }
      let row = Int((1 - share) * Double(rows - 1) + 0.5)
      let number = value / factor
      // Neither 1e300 nor a negative zero helps anybody.
      let text =
        number.magnitude >= 1e7 ? String(format: "%.2e", number) : String(format: "%.\(decimals)f", number + 0)
      labels[row] = unit.isEmpty ? text : "\(text) \(unit)"
    }
    return labels
  }
}

/// The axis of time: where its ticks are and what stands below them. Times are UTC.
struct TimeAxis {
  /// Tick labels by column.
  private(set) var ticks: [Int: String] = [:]
  /// All labels in one line.
  let labelLine: String

  init(start: Int64, end: Int64, columns: Int) {
    let span = max(1, end - start)
    let step = NiceStep.milliseconds(for: span, points: max(1, columns / 14))
    var line: [Character] = []
    var time = (start + step - 1) / step * step
    while time <= end {
      let column = Int((Double(time - start) / Double(span) * Double(columns - 1)).rounded())
      let label = Self.label(time, step: step, span: span)
      let first = min(max(0, column - label.count / 2), max(0, columns - label.count))
      // A label that would touch its neighbour is left out, and so is its tick.
      if line.isEmpty || first > line.count {
        line += Array(repeating: " ", count: max(0, first - line.count)) + Array(label)
        ticks[column] = label
      }
      time += step
    }
    labelLine = String(line)
  }

  private static func label(_ time: Int64, step: Int64, span: Int64) -> String {
    let text = TimeText.rfc3339(unixMilliseconds: time)
    let date = text.prefix(10)
    let clock = text.dropFirst(11)
    if step >= 86_400_000 { return String(date) }
    if step < 60_000 { return String(clock.prefix(8)) }
    return span > 86_400_000 ? "\(date.dropFirst(5)) \(clock.prefix(5))" : String(clock.prefix(5))
  }
}
