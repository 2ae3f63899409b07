import BongsuFleet
import BongsuModel
import Testing

@Suite("Dates and zones")
struct CivilTimeTests {
  @Test("days count on without a gap from 1970 to 2199, and back")
  func calendar() {
    var date = CivilDate(year: 1970, month: 1, day: 1)!
    #expect(date.daysSinceEpoch == 0)
    var days = 0
    while date.year < 2200 {
      let next = CivilDate(daysSinceEpoch: days + 1)
      let isFollowing =
        next == CivilDate(year: date.year, month: date.month, day: date.day + 1)
        || (next.day == 1 && CivilDate(year: date.year, month: date.month, day: date.day + 1) == nil)
      guard date.daysSinceEpoch == days, isFollowing, date < next else {
        Issue.record("day \(days) is \(date), then \(next)")
        return
      }
      days += 1
      date = next
    }
    #expect(days == 84_006)
    #expect(CivilDate(year: 2026, month: 11, day: 21)!.daysSinceEpoch == 20_778)
  }

  @Test("days that the calendar does not have are refused")
  func impossibleDays() {
    #expect(CivilDate(year: 2026, month: 2, day: 29) == nil)
    #expect(CivilDate(year: 2028, month: 2, day: 29) != nil)
    #expect(CivilDate(year: 2100, month: 2, day: 29) == nil)
    #expect(CivilDate(year: 2026, month: 13, day: 1) == nil)
    #expect(CivilDate(year: 2026, month: 4, day: 31) == nil)
    #expect(CivilDate(year: 2026, month: 4, day: 0) == nil)
    #expect(CivilDate(year: 1969, month: 12, day: 31) == nil)
  }

  @Test(
    "instants are read in the zone of the nation unless they name another",
    arguments: [
      ("2026-01-01", "Asia/Seoul", 1_767_193_200), ("2026-01-01", "UTC", 1_767_225_600),
      ("2026-01-01T09:00", "Asia/Seoul", 1_767_225_600), ("2026-01-01T00:00Z", "Asia/Seoul", 1_767_225_600),
      ("2026-01-01T01:30:15+01:30", "Asia/Seoul", 1_767_225_615), ("2026-01-01 00:00:00", "UTC", 1_767_225_600),
      ("2025-12-31T19:00-05:00", "+09:00", 1_767_225_600),
    ])
  func instants(text: String, zone: String, seconds: Int64) throws {
    let zone = try #require(TimeZoneOffset(zone))
    #expect(zone.tick(parsing: text)?.unixMilliseconds == seconds * 1000)
  }

  @Test(
    "texts that are no instants are refused",
    arguments: [
      "", "2026", "2026-1-1", "2026-01-32", "2026-01-01T", "2026-01-01T24:00", "2026-01-01T00:60", "01.01.2026",
      "2026-01-01T00:00+15:00", "2026-01-01T00:00+9", "2026-01-01T1:00", "tomorrow", "2026-01-01TT00:00", "２０２６-01-01",
    ])
  func refusesInstants(text: String) {
    #expect(TimeZoneOffset.utc.tick(parsing: text) == nil)
  }

  @Test("instants are written with their offset")
  func writes() {
    let instant = Tick(unixMilliseconds: 1_767_225_615_500)
    #expect(TimeZoneOffset("Asia/Seoul")!.text(of: instant) == "2026-01-01T09:00:15+09:00")
    #expect(TimeZoneOffset("UTC")!.text(of: instant) == "2026-01-01T00:00:15Z")
    #expect(TimeZoneOffset("-03:30")!.text(of: instant) == "2025-12-31T20:30:15-03:30")
    #expect(TimeZoneOffset("Europe/Paris") == nil && TimeZoneOffset("+14:01") == nil && TimeZoneOffset("9") == nil)
  }
}
