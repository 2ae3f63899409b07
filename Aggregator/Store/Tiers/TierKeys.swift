internal import BongsuModel
internal import BongsuRollup

/// What a row of ``TierStore`` holds; numbers are stored.
enum TierKind: Int64, CaseIterable {
  /// 60 ticks; time is the minute.
  case seconds = 0
  /// Windows of one hour; time is the hour.
  case tenSeconds = 1
  case minutes = 2
  case quarterHours = 3
  case hours = 4
  /// Quantile sketches of one minute, quarter-hour or hour; time is that.
  case minuteSketches = 5
  case quarterHourSketches = 6
  case hourSketches = 7

  /// Milliseconds of what `time` counts in the numbers of rows.
  var unit: Int64 {
    switch self {
    case .seconds, .minuteSketches: 60_000
    case .quarterHourSketches: 900_000
    case .tenSeconds, .minutes, .quarterHours, .hours, .hourSketches: 3_600_000
    }
  }

  init(_ tier: Tier) {
    self =
      switch tier {
      case .second: .seconds
      case .tenSeconds: .tenSeconds
      case .minute: .minutes
      case .quarterHour: .quarterHours
      case .hour: .hours
      }
  }

  /// The sketches of the windows of a tier; `nil` for tiers without.
  static func sketches(_ tier: Tier) -> TierKind? {
    switch tier {
    case .second, .tenSeconds: nil
    case .minute: .minuteSketches
    case .quarterHour: .quarterHourSketches
    case .hour: .hourSketches
    }
  }

  /// Number of the row of group `group` for what ends at `end`: rows of a group stand together, in order of time.
  func id(_ group: TierGroupNumber, _ end: Int64) -> Int64 {
    rawValue << 60 | group.packed << 30 | end / unit
  }

  /// End of what the row of number `id` holds.
  func end(of id: Int64) -> Int64 { (id & (1 << 30 - 1)) * unit }
}

/// A group of the store: its level and its number there.
struct TierGroupNumber: Hashable {
  let level: TierLevel
  let number: Int

  static let numberMax = 1 << 24

  /// 27 bits.
  var packed: Int64 { level.code << 24 | Int64(number) }

  /// Groups are stored together, ``perPart`` at a time, until their hour is packed.
  static let perPart = 256
  var part: Int { number / Self.perPart }
}

/// Number of a part of a level in one minute.
enum FreshKey {
  static func id(_ minuteEnd: Int64, _ level: TierLevel, part: Int) -> Int64 {
    (minuteEnd / 60_000) << 23 | level.code << 20 | Int64(part)
  }

  static func minuteEnd(of id: Int64) -> Int64 { (id >> 23) * 60_000 }
  static func level(of id: Int64) -> TierLevel? { TierLevel(code: id >> 20 & 7) }
  static func part(of id: Int64) -> Int { Int(id & (1 << 20 - 1)) }
}

extension TierLevel {
  /// Number of the level in stored keys: the rollup's, and 7 for nodes.
  var code: Int64 {
    switch self {
    case .node: 7
    case .rollup(let level): Int64(level.rawValue)
    }
  }

  init?(code: Int64) {
    if code == 7 {
      self = .node
    } else if let level = RollupLevel(rawValue: Int(code)) {
      self = .rollup(level)
    } else {
      return nil
    }
  }

  var rollup: RollupLevel? {
    if case .rollup(let level) = self { return level }
    return nil
  }
}

/// Labels of a group as one text: a line for each.
enum TierGroupKey {
  static func text(_ labels: [(name: String, value: String)]) -> String {
    labels.map { "\($0.name)=\($0.value)" }.joined(separator: "\n")
  }

  static func labels(_ text: String) -> [(name: String, value: String)] {
    text.split(separator: "\n").map { line in
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (String(parts[0]), parts.count == 2 ? String(parts[1]) : "")
    }
  }
}
