import BongsuReports
import Testing

@Suite struct TimeTextTests {
  @Test(
    "instants are read as the Prometheus API writes them",
    arguments: [
      ("0", 0), ("1795253400", 1_795_253_400_000), ("1795253400.25", 1_795_253_400_250),
      ("1795253400.", 1_795_253_400_000),
      ("1.0009", 1000), ("2026-11-21T09:30:00Z", 1_795_253_400_000), ("2026-11-21T18:30:00.5+09:00", 1_795_253_400_500),
      ("2024-02-29T00:00:00Z", 1_709_164_800_000), ("2000-02-29t23:59:59.999z", 951_868_799_999),
      ("1970-01-01T00:00:00Z", 0),
    ])
  func accepted(text: String, milliseconds: Int64) {
    #expect(TimeText.unixMilliseconds(text) == milliseconds)
  }

  @Test(
    "what is neither form, or lies outside 1970 to 2200, is refused",
    arguments: [
      "", "now", "-1", "1e9", "0x10", "1.2.3", "2026-11-21", "2026-11-21T09:30:00", "2026-13-01T00:00:00Z",
      "2025-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T09:30:60Z",
      "2026-11-21T09:30:00.Z", "2026-11-21T09:30:00+9:00", "2026-11-21T09:30:00Zz", "1969-12-31T23:59:59Z",
      "99999999999999999999", "2201-01-01T00:00:00Z", "２０２６-11-21T09:30:00Z", "1970-01-01T00:00:00+00:01",
    ])
  func refused(text: String) {
    #expect(TimeText.unixMilliseconds(text) == nil)
  }

  @Test("every day from 1970 to 2199 survives the way to text and back")
  func roundTrip() {
    for day in stride(from: Int64(0), to: 84_000, by: 1) {
      let milliseconds = day * 86_400_000 + 1 + day % 86_399_000
      #expect(TimeText.unixMilliseconds(TimeText.rfc3339(unixMilliseconds: milliseconds)) == milliseconds)
    }
    #expect(TimeText.rfc3339(unixMilliseconds: 1_795_253_400_000) == "2026-11-21T09:30:00Z")
    #expect(TimeText.rfc3339(unixMilliseconds: -1) == "1969-12-31T23:59:59.999Z")
  }
}
