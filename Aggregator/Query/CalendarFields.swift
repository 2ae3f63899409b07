/// Date and time of day in UTC, by the proleptic Gregorian calendar.
///
/// Counts seconds from the start of a year far in the past that begins a 400-year cycle, modulo 2^64, so that every
/// 64-bit number of seconds has a date, as in Go.
public struct CalendarFields {
  public private(set) var year = 0
  public private(set) var month = 0
  public private(set) var day = 0
  /// From 1.
  public private(set) var dayOfYear = 0
  /// Sunday is 0.
  public private(set) var dayOfWeek = 0
  public private(set) var hour = 0
  public private(set) var minute = 0
  public private(set) var second = 0

  private static let secondsPerDay: UInt64 = 86_400
  private static let daysPer400Years: UInt64 = 146_097
  /// The first year counted, and the seconds from its start to 1970 (modulo 2^64).
  private static let firstYear = -292_277_022_399
  private static let secondsToEpoch: UInt64 = 9_223_371_966_579_724_800 + 62_135_596_800

  public init(unixSeconds: Int64) {
    let seconds = UInt64(bitPattern: unixSeconds) &+ Self.secondsToEpoch
    let secondOfDay = Int(seconds % Self.secondsPerDay)
    hour = secondOfDay / 3600
    minute = secondOfDay / 60 % 60
    second = secondOfDay % 60
    var days = seconds / Self.secondsPerDay
    // The first day counted is a Monday.
    dayOfWeek = Int((days + 1) % 7)
    let cycles = days / Self.daysPer400Years
    days %= Self.daysPer400Years
    // The last day of a cycle belongs to its fourth century, that of four years to the fourth year.
    let centuries = min(days / 36_524, 3)
    days -= centuries * 36_524
    let fours = days / 1461
    days -= fours * 1461
    let years = min(days / 365, 3)
    days -= years * 365
    let (multiple, _) = Int64(bitPattern: cycles).multipliedReportingOverflow(by: 400)
    year = Self.firstYear + Int(multiple) + Int(centuries * 100 + fours * 4 + years)
    dayOfYear = Int(days) + 1
    var rest = Int(days)
    month = 1
    while rest >= Self.days(inMonth: month, isLeapYear: isLeapYear) {
      rest -= Self.days(inMonth: month, isLeapYear: isLeapYear)
      month += 1
    }
    day = rest + 1
  }

  var daysInMonth: Int { Self.days(inMonth: month, isLeapYear: isLeapYear) }

  private var isLeapYear: Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

  private static func days(inMonth month: Int, isLeapYear: Bool) -> Int {
    switch month {
    case 2: isLeapYear ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// The field a function of the query language reads.
  static func named(_ name: String) -> ((CalendarFields) -> Int)? {
    switch name {
    case "year": { $0.year }
    case "month": { $0.month }
    case "day_of_month": { $0.day }
    case "day_of_week": { $0.dayOfWeek }
    case "day_of_year": { $0.dayOfYear }
    case "days_in_month": { $0.daysInMonth }
    case "hour": { $0.hour }
    case "minute": { $0.minute }
    default: nil
    }
  }
}
