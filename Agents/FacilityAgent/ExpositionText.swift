/// A page of metrics in the text format of Prometheus or OpenMetrics, read line by line.
///
///     name{label="value",…} value [timestamp]
///
/// Comments are passed over. A line that cannot be read is counted and left out: one bad line does not cost the page.
struct ExpositionText {
  struct Sample: Hashable {
    let name: String
    let labels: [String: String]
    let value: Double
  }

  /// Samples of one page; the rest is left out and said.
  static let samplesMax = 200_000

  private(set) var samples: [Sample] = []
  /// Lines that are neither samples nor comments.
  private(set) var badLines = 0
  /// The first of them, cut to a readable length.
  private(set) var firstBadLine: String?

  init(parsing text: String) {
    for line in text.utf8.split(whereSeparator: { $0 == 0x0A || $0 == 0x0D }) {
      var scanner = LineScanner(line)
      scanner.skipBlanks()
      guard let first = scanner.peek, first != 0x23 else { continue }
      guard samples.count < Self.samplesMax else {
        note(line)
        continue
      }
      if let sample = scanner.sample() { samples.append(sample) } else { note(line) }
    }
  }

  private mutating func note(_ line: Substring.UTF8View.SubSequence) {
    badLines += 1
    if firstBadLine == nil { firstBadLine = String(decoding: line.prefix(100), as: UTF8.self) }
  }
}

/// Walks over one line.
private struct LineScanner {
  private var rest: Substring.UTF8View.SubSequence

  init(_ line: Substring.UTF8View.SubSequence) { rest = line }

  var peek: UInt8? { rest.first }

  mutating func skipBlanks() { rest = rest.drop { $0 == 0x20 || $0 == 0x09 } }

  mutating func sample() -> ExpositionText.Sample? {
    guard let name = identifier(allowsColon: true) else { return nil }
    skipBlanks()
    var labels: [String: String] = [:]
    if peek == 0x7B {
      guard let read = labelSet() else { return nil }
      labels = read
    }
    skipBlanks()
    guard let value = number(word()) else { return nil }
    // A timestamp may follow, and in OpenMetrics an exemplar behind `#`; neither is of interest.
    return ExpositionText.Sample(name: name, labels: labels, value: value)
  }

  private mutating func labelSet() -> [String: String]? {
    rest.removeFirst()
    var labels: [String: String] = [:]
    while true {
      skipBlanks()
      if peek == 0x7D {
        rest.removeFirst()
        return labels
      }
      guard let name = identifier(allowsColon: false) else { return nil }
      skipBlanks()
      guard take(0x3D) else { return nil }
      skipBlanks()
      guard let value = quoted() else { return nil }
      labels[name] = value
      skipBlanks()
      if peek == 0x2C { rest.removeFirst() } else if peek != 0x7D { return nil }
    }
  }

  private mutating func quoted() -> String? {
    guard take(0x22) else { return nil }
    var bytes: [UInt8] = []
    while let byte = rest.popFirst() {
      switch byte {
      case 0x22: return String(decoding: bytes, as: UTF8.self)
      case 0x5C:
        guard let escaped = rest.popFirst() else { return nil }
        bytes.append(escaped == 0x6E ? 0x0A : escaped)
      default: bytes.append(byte)
      }
    }
    return nil
  }

  private mutating func identifier(allowsColon: Bool) -> String? {
    let name = rest.prefix { byte in
      (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F
        || (allowsColon && byte == 0x3A)
    }
    guard let first = name.first, !(0x30...0x39).contains(first) else { return nil }
    rest = rest.dropFirst(name.count)
    return String(decoding: name, as: UTF8.self)
  }

  private mutating func word() -> String {
    let word = rest.prefix { $0 != 0x20 && $0 != 0x09 }
    rest = rest.dropFirst(word.count)
    return String(decoding: word, as: UTF8.self)
  }

  private func number(_ text: String) -> Double? {
    switch text {
    case "NaN", "nan": .nan
    case "+Inf", "Inf": .infinity
    case "-Inf": -.infinity
    default: Double(text)
    }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard peek == byte else { return false }
    rest.removeFirst()
    return true
  }
}
