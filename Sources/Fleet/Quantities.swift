/// Numbers with units as fleet files write them, read exactly: no floating point is involved, so that the same text
/// always gives the same integer.
enum Quantities {
  /// `55 MW`, `132.5kW`, `700 W` as milliwatts; `nil` without a unit, below zero, or beyond
  /// ``Limits/milliwattsMax``.
  static func milliwatts(_ text: String) -> Int64? {
    let units: [(suffix: String, decimals: Int)] = [("GW", 12), ("MW", 9), ("kW", 6), ("W", 3)]
    for unit in units where text.hasSuffix(unit.suffix) {
      let number = text.dropLast(unit.suffix.count).reversed().drop { $0 == " " }.reversed()
      guard let value = scaled(String(number), decimals: unit.decimals), value <= Limits.milliwattsMax else {
        return nil
      }
      return value
    }
    return nil
  }

  /// `90 %` or `0.9` as 900 thousandths; `nil` outside 0 to 1000 % or with more than three decimals.
  static func permille(_ text: String) -> Int? {
    let isPercent = text.hasSuffix("%")
    let number = isPercent ? String(text.dropLast().reversed().drop { $0 == " " }.reversed()) : text
    guard let value = scaled(number, decimals: isPercent ? 1 : 3), value <= 10_000 else { return nil }
    return Int(value)
  }

  /// The decimal number `text` times ten to the power of `decimals`, exactly; `nil` when it is not one, has more
  /// decimals than that (trailing zeros aside), or does not fit.
  static func scaled(_ text: String, decimals: Int) -> Int64? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 1 || parts.count == 2, !parts[0].isEmpty, isDigits(parts[0]) else { return nil }
    var fraction = parts.count == 2 ? String(parts[1]) : ""
    guard parts.count == 1 || (!fraction.isEmpty && isDigits(parts[1])) else { return nil }
    while fraction.utf8.count > decimals, fraction.hasSuffix("0") { fraction.removeLast() }
    guard fraction.utf8.count <= decimals else { return nil }
    fraction += String(repeating: "0", count: decimals - fraction.utf8.count)
    return Int64(parts[0] + fraction)
  }

  /// Milliwatts for people: the largest unit that leaves at least 1, with up to three decimals.
  static func text(milliwatts: Int64) -> String {
    let units: [(name: String, milliwatts: Int64)] = [
      ("GW", 1_000_000_000_000), ("MW", 1_000_000_000), ("kW", 1_000_000), ("W", 1000),
    ]
    let unit = units.first { milliwatts.magnitude >= UInt64($0.milliwatts) } ?? units[3]
    let thousandths = (milliwatts.magnitude * 1000 + UInt64(unit.milliwatts) / 2) / UInt64(unit.milliwatts)
    var fraction = String(thousandths % 1000 + 1000).dropFirst()
    while fraction.hasSuffix("0") { fraction.removeLast() }
    let sign = milliwatts < 0 ? "-" : ""
    return "\(sign)\(thousandths / 1000)\(fraction.isEmpty ? "" : "." + fraction) \(unit.name)"
  }

  private static func isDigits(_ text: Substring) -> Bool {
    text.utf8.allSatisfy { (0x30...0x39).contains($0) }
  }
}

/// How far one name is from another: the number of letters to add, drop, change or swap with a neighbour.
enum EditDistance {
  /// The candidate nearest to `name`, when it is near enough to be a slip of the pen.
  static func nearest(to name: String, in candidates: some Sequence<String>) -> String? {
    let limit = max(1, min(3, name.utf8.count / 3))
    var best: (candidate: String, distance: Int)?
    for candidate in candidates {
      let difference = candidate.utf8.count - name.utf8.count
      guard difference.magnitude <= limit else { continue }
      let distance = distance(Array(name.utf8), Array(candidate.utf8))
      if distance <= limit, distance < (best?.distance ?? .max) { best = (candidate, distance) }
    }
    return best?.candidate
  }

  private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var beforeLast = [Int](repeating: 0, count: right.count + 1)
    var last = Array(0...right.count)
    for row in left.indices {
      var current = [row + 1]
      current.reserveCapacity(right.count + 1)
      for column in right.indices {
        let isEqual = left[row] == right[column]
        var cost = min(last[column + 1] + 1, current[column] + 1, last[column] + (isEqual ? 0 : 1))
        let isSwap = row > 0 && column > 0 && left[row] == right[column - 1] && left[row - 1] == right[column]
        if isSwap { cost = min(cost, beforeLast[column - 1] + 1) }
        current.append(cost)
      }
      (beforeLast, last) = (last, current)
    }
    return last[right.count]
  }
}
