public import BongsuModel

/// A day of the proleptic Gregorian calendar, without a time zone.
///
/// The arithmetic counts years from March, so that the leap day is the last of its year and a month's first day is a
/// linear function of the month: the well-known method of shifting the calendar to eras of 400 years = 146,097 days.
public struct CivilDate: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let year: Int
  /// 1 to 12.
  public let month: Int
  /// 1 to 31.
  public let day: Int

  /// A day that exists; `nil` for the 30th of February and years outside 1970 to 2199.
  public init?(year: Int, month: Int, day: Int) {
    guard (1970...2199).contains(year), (1...12).contains(month) else { return nil }
    guard (1...Self.days(inMonth: month, of: year)).contains(day) else { return nil }
    self.year = year
    self.month = month
    self.day = day
  }

  /// The day that lies `days` after 1970-01-01.
  public init(daysSinceEpoch days: Int) {
    let shifted = days + 719_468  // days from 0000-03-01 to 1970-01-01
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }

  /// Days since 1970-01-01.
  public var daysSinceEpoch: Int {
    let shiftedYear = month <= 2 ? year - 1 : year
    let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
    let yearOfEra = shiftedYear - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }

  /// `2026-04-01`.
  public var description: String { "\(year)-\(Self.padded(month))-\(Self.padded(day))" }

  public static func < (left: CivilDate, right: CivilDate) -> Bool {
    (left.year, left.month, left.day) < (right.year, right.month, right.day)
  }

  static func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

  private static func days(inMonth month: Int, of year: Int) -> Int {
    let isLeap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
    return switch month {
    case 2: isLeap ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }
}

/// A fixed distance between local time and UTC. Days and months of reports and tariffs are those of the nation's zone.
///
/// Only zones without daylight saving can be named, so that no time zone database is needed and a day always has 24
/// hours; Korea has had none since 1988.
public struct TimeZoneOffset: Hashable, Sendable, CustomStringConvertible {
  /// How the fleet file names the zone.
  public let name: String
  /// Seconds that local time is ahead of UTC.
  public let secondsEast: Int

  /// Zones that may be given by name: each has kept one offset for the years a fleet file covers.
  public static let named: [TimeZoneOffset] = [
    TimeZoneOffset(name: "UTC", secondsEast: 0),
    TimeZoneOffset(name: "Asia/Seoul", secondsEast: 9 * 3600),
    TimeZoneOffset(name: "Asia/Tokyo", secondsEast: 9 * 3600),
    TimeZoneOffset(name: "Asia/Singapore", secondsEast: 8 * 3600),
    TimeZoneOffset(name: "Asia/Taipei", secondsEast: 8 * 3600),
    TimeZoneOffset(name: "Asia/Kolkata", secondsEast: 5 * 3600 + 1800),
  ]

  /// Universal time.
  public static let utc = named[0]

  private init(name: String, secondsEast: Int) {
    self.name = name
    self.secondsEast = secondsEast
  }

  /// A zone of ``named`` or an offset such as `+09:00`; `nil` for anything else.
  public init?(_ text: String) {
    if let zone = Self.named.first(where: { $0.name == text }) {
      self = zone
      return
    }
    guard let seconds = Self.offsetSeconds(text) else { return nil }
    self.init(name: text, secondsEast: seconds)
  }

  public var description: String { name }

  /// The local day that contains `tick`.
  public func date(of tick: Tick) -> CivilDate {
    let localSeconds = tick.unixMilliseconds.flooredDivision(by: 1000) &+ Int64(secondsEast)
    return CivilDate(daysSinceEpoch: Int(localSeconds.flooredDivision(by: 86_400)))
  }

  /// The instant at which `date` begins.
  public func start(of date: CivilDate) -> Tick {
    Tick(unixMilliseconds: (Int64(date.daysSinceEpoch) * 86_400 - Int64(secondsEast)) * 1000)
  }

  /// `2026-04-01T09:30:00+09:00`, seconds rounded down.
  public func text(of tick: Tick) -> String {
    let localSeconds = tick.unixMilliseconds.flooredDivision(by: 1000) &+ Int64(secondsEast)
    let day = localSeconds.flooredDivision(by: 86_400)
    let second = Int(localSeconds - day * 86_400)
    let clock = [second / 3600, second / 60 % 60, second % 60].map(CivilDate.padded).joined(separator: ":")
    let east = secondsEast.magnitude
    let offset =
      secondsEast == 0
      ? "Z"
      : "\(secondsEast < 0 ? "-" : "+")\(CivilDate.padded(Int(east) / 3600)):\(CivilDate.padded(Int(east) / 60 % 60))"
    return "\(CivilDate(daysSinceEpoch: Int(day)))T\(clock)\(offset)"
  }

  /// The instant that `text` names: a day (its local midnight), or a day and a time of day `2026-04-01T09:30[:00]`,
  /// local unless it ends in `Z` or an offset. `nil` when it is none of these.
  public func tick(parsing text: String) -> Tick? {
    let parts = text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "T" || $0 == " " })
    guard parts.count == 1 || parts.count == 2, let day = Self.date(parsing: parts[0]) else { return nil }
    let midnight = start(of: day)
    guard parts.count == 2 else { return midnight }
    guard let (seconds, zone) = Self.timeOfDay(parts[1]) else { return nil }
    let shift = zone.map { secondsEast - $0 } ?? 0
    return Tick(unixMilliseconds: midnight.unixMilliseconds + Int64(seconds + shift) * 1000)
  }

  private static func date(parsing text: Substring) -> CivilDate? {
    let fields = text.split(separator: "-", omittingEmptySubsequences: false)
    guard fields.count == 3, let year = digits(fields[0], count: 4), let month = digits(fields[1], count: 2),
      let day = digits(fields[2], count: 2)
    else { return nil }
    return CivilDate(year: year, month: month, day: day)
  }

  /// Seconds since midnight, and the offset the text ends in when it has one.
  private static func timeOfDay(_ text: Substring) -> (seconds: Int, zoneSecondsEast: Int?)? {
    var clock = text
    var zone: Int?
    if clock.hasSuffix("Z") {
      zone = 0
      clock = clock.dropLast()
    } else if let sign = clock.lastIndex(where: { $0 == "+" || $0 == "-" }) {
      guard let seconds = offsetSeconds(String(clock[sign...])) else { return nil }
      zone = seconds
      clock = clock[..<sign]
    }
    let fields = clock.split(separator: ":", omittingEmptySubsequences: false)
    guard fields.count == 2 || fields.count == 3, let hour = digits(fields[0], count: 2), hour < 24,
      let minute = digits(fields[1], count: 2), minute < 60
    else { return nil }
    guard fields.count == 3 else { return (hour * 3600 + minute * 60, zone) }
    guard let second = digits(fields[2], count: 2), second < 60 else { return nil }
    return (hour * 3600 + minute * 60 + second, zone)
  }

  /// `+09:00` as 32,400; up to 14 hours either way, as zones on Earth have.
  private static func offsetSeconds(_ text: String) -> Int? {
    guard let sign = text.first, sign == "+" || sign == "-" else { return nil }
    let fields = text.dropFirst().split(separator: ":", omittingEmptySubsequences: false)
    guard fields.count == 2, let hours = digits(fields[0], count: 2), let minutes = digits(fields[1], count: 2),
      minutes < 60, hours * 60 + minutes <= 14 * 60
    else { return nil }
    return (sign == "-" ? -1 : 1) * (hours * 3600 + minutes * 60)
  }

  private static func digits(_ text: Substring, count: Int) -> Int? {
    guard text.utf8.count == count, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return Int(text)
  }
}
