/// Reads the sentence of an event, such as `10 % of samsung nodes vanish for 30 s`.
///
///     [SHARE of] TARGET [nodes|gpus] ACTION [for TIME]
///
///     TARGET   all · factory ID · hall FACTORY/HALL · rack FACTORY/HALL/RACK · allocation PATH · node NAME · NAME
///     ACTION   power ±SHARE [over TIME]      of what it would be
///              power normal [over TIME]
///              ramp to SHARE [over TIME]     of the way from idle to the limit
///              vanish · return
///              lose network · regain network
///              flap every TIME               needs 'for'
///              clock [skew] ±TIME · clock right
///              fail · recover                its GPUs
///
/// Numbers and units may stand apart: `5s` and `5 s`, `20%` and `20 %`.
struct EventSentence {
  /// What is wrong with a sentence.
  struct Unreadable: Error, Hashable, CustomStringConvertible {
    var seen: String
    var expected: String

    var description: String { "\(seen), expected \(expected)" }
  }

  private var words: [Substring]
  private var next = 0

  /// Reads `text`; `at` and place are for the caller to fill in.
  static func parse(_ text: String) throws(Unreadable) -> ScenarioEvent {
    var sentence = EventSentence(words: text.split(whereSeparator: { $0 == " " || $0 == "\t" }))
    return try sentence.event(text)
  }

  /// Reads a time such as `30s`, `1.5 min` or `2h`, alone.
  static func milliseconds(_ text: String) throws(Unreadable) -> Int64 {
    var sentence = EventSentence(words: text.split(separator: " "))
    let time = try sentence.time("a time such as '30s'")
    try sentence.end()
    return time
  }

  private init(words: [Substring]) { self.words = words }

  private mutating func event(_ text: String) throws(Unreadable) -> ScenarioEvent {
    var event = ScenarioEvent(atMilliseconds: 0, target: ScenarioTarget(kind: .all, name: ""), action: .vanish)
    event.text = text
    if words.first.map({ $0.first?.isNumber == true }) == true {
      event.perHundredThousand = try share("a share such as '10 %'", in: 1...100_000)
      guard take("of") else { throw unreadable("'of' after the share") }
    }
    event.target = try target()
    _ = take("nodes") || take("gpus")
    event.action = try action()
    if take("for") {
      event.forMilliseconds = try positiveTime("a time after 'for', such as '30s'")
      if case .flap = event.action {
      } else if event.action.opposite == nil {
        throw Unreadable(seen: "'for' after an event that nothing takes back", expected: "the end of the sentence")
      }
    } else if case .flap = event.action {
      throw unreadable("'for TIME': how long it flaps")
    }
    try end()
    return event
  }

  private mutating func target() throws(Unreadable) -> ScenarioTarget {
    guard let word = word else { throw unreadable("whom it is about: 'all', 'factory ID' or a name") }
    next += 1
    if word == "all" { return ScenarioTarget(kind: .all, name: "") }
    if let kind = ScenarioTarget.Kind(rawValue: String(word)), kind != .any {
      guard let name = self.word else { throw unreadable("the name of the \(word)") }
      next += 1
      return ScenarioTarget(kind: kind, name: String(name))
    }
    return ScenarioTarget(kind: .any, name: String(word))
  }

  private mutating func action() throws(Unreadable) -> ScenarioAction {
    guard let verb = word else { throw unreadable("what happens: \(Self.verbs)") }
    next += 1
    switch verb {
    case "power":
      if take("normal") { return .normal(over: try over()) }
      let change = try share("a change such as '+20 %', or 'normal'", in: -100_000...400_000, isSigned: true)
      return .power(permille: 1000 + change / 100, over: try over())
    case "ramp":
      guard take("to") else { throw unreadable("'to' after 'ramp'") }
      let level = try share("a share from 0 % to 100 %", in: 0...100_000)
      return .ramp(toPermille: level / 100, over: try over())
    case "vanish", "vanishes": return .vanish
    case "return", "returns": return .comeBack
    case "lose", "loses":
      guard take("network") else { throw unreadable("'network' after '\(verb)'") }
      return .loseNetwork
    case "regain", "regains":
      guard take("network") else { throw unreadable("'network' after '\(verb)'") }
      return .regainNetwork
    case "flap", "flaps":
      guard take("every") else { throw unreadable("'every TIME' after '\(verb)'") }
      return .flap(every: try positiveTime("a time such as '10s'"))
    case "clock":
      if take("right") { return .clock(offset: 0) }
      _ = take("skew")
      return .clock(offset: try time("a time with its sign, such as '+90 s', or 'right'", isSigned: true))
    case "fail", "fails": return .failGPUs
    case "recover", "recovers": return .healGPUs
    default:
      throw Unreadable(seen: "'\(verb)' is no event", expected: Self.verbs)
    }
  }

  private static let verbs =
    "power, ramp, vanish, return, lose network, regain network, flap, clock, fail or recover"

  private mutating func over() throws(Unreadable) -> Int64 {
    take("over") ? try positiveTime("a time after 'over', such as '5 s'") : 0
  }

  private mutating func positiveTime(_ expected: String) throws(Unreadable) -> Int64 {
    let time = try time(expected)
    guard time > 0 else { throw Unreadable(seen: "a time of 0", expected: expected) }
    return time
  }

  // MARK: Words

  private var word: Substring? { next < words.count ? words[next] : nil }

  private mutating func take(_ expected: String) -> Bool {
    guard word.map(String.init) == expected else { return false }
    next += 1
    return true
  }

  private func unreadable(_ expected: String) -> Unreadable {
    Unreadable(seen: word.map { "'\($0)'" } ?? "the end of the sentence", expected: expected)
  }

  private func end() throws(Unreadable) {
    guard word == nil else { throw unreadable("the end of the sentence") }
  }

  /// A share in thousandths of a percent.
  private mutating func share(
    _ expected: String, in range: ClosedRange<Int>, isSigned: Bool = false
  ) throws(Unreadable) -> Int {
    let start = next
    guard let (number, unit) = quantity(isSigned: isSigned), unit == "%", let value = Self.scaled(number, by: 1000),
      range.contains(Int(value))
    else {
      next = start
      throw Unreadable(
        seen: word.map { "'\($0)'" } ?? "the end of the sentence",
        expected: "\(expected) (from \(range.lowerBound / 1000) % to \(range.upperBound / 1000) %)")
    }
    return Int(value)
  }

  /// A time in milliseconds, at most a week.
  private mutating func time(_ expected: String, isSigned: Bool = false) throws(Unreadable) -> Int64 {
    let start = next
    let units: [Substring: Int64] = ["ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000]
    guard let (number, unit) = quantity(isSigned: isSigned), let factor = units[unit],
      let value = Self.scaled(number, by: factor), abs(value) <= Self.timeMax
    else {
      next = start
      throw unreadable("\(expected), in ms, s, min, h or d and at most 400 d")
    }
    return value
  }

  static let timeMax: Int64 = 400 * 86_400_000

  /// A number with its unit, in one word or two.
  private mutating func quantity(isSigned: Bool) -> (number: Substring, unit: Substring)? {
    guard let first = word else { return nil }
    let split = first.firstIndex { !($0.isNumber || $0 == "." || $0 == "+" || $0 == "-") } ?? first.endIndex
    let number = first[..<split]
    let hasSign = number.first == "+" || number.first == "-"
    guard !number.isEmpty, isSigned || !hasSign else { return nil }
    next += 1
    guard split == first.endIndex else { return (number, first[split...]) }
    guard let unit = word else { return nil }
    next += 1
    return (number, unit)
  }

  /// A decimal number times `factor`, rounded.
  private static func scaled(_ number: Substring, by factor: Int64) -> Int64? {
    guard let value = Double(number), value.isFinite, abs(value) < 1e9 else { return nil }
    return Int64((value * Double(factor)).rounded())
  }
}
