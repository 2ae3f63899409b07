import Testing

@testable import bongsu

@Suite struct UnitTextTests {
  @Test(
    "power has four significant digits and the prefix that fits after rounding",
    arguments: [
      (0, "0 W"), (1, "0.001 W"), (999, "0.999 W"), (612_400, "612.4 W"), (999_949, "999.9 W"), (999_950, "1.000 kW"),
      (1_000_000, "1.000 kW"), (9_999_499, "9.999 kW"), (9_999_500, "10.00 kW"), (14_400_000, "14.40 kW"),
      (99_995_000, "100.0 kW"), (3_000_000_000_001, "3.000 GW"), (515_000_000_000, "515.0 MW"),
      (-1_500_000, "-1.500 kW"),
    ] as [(Int64, String)])
  func power(milliwatts: Int64, expected: String) {
    #expect(UnitText.power(milliwatts: milliwatts) == expected)
  }

  @Test("energy is in watt-hours, and what is unknown is not zero")
  func energy() {
    #expect(UnitText.energy(millijoules: 3_600_000) == "1.000 Wh")
    #expect(UnitText.energy(millijoules: Int64.max) == "2.562 TWh")
    #expect(UnitText.energy(millijoules: 0) == "0 Wh")
    #expect(UnitText.energy(millijoules: nil) == "-")
  }

  @Test("coverage never looks more complete than it is")
  func coverage() {
    #expect(UnitText.coverage(1) == "100.0 %")
    #expect(UnitText.coverage(259_999.0 / 260_000) == "99.9 %")
    #expect(UnitText.coverage(0.9990) == "99.9 %")
    #expect(UnitText.coverage(0.29) == "29.0 %")
    #expect(UnitText.coverage(nil) == "-" && UnitText.coverage(.nan) == "-")
    #expect(UnitText.percent(0.99996) == "100.0 %")
  }

  @Test("counts have commas, durations their two largest parts")
  func countsAndDurations() {
    #expect(UnitText.count(0) == "0" && UnitText.count(999) == "999" && UnitText.count(-1000) == "-1,000")
    #expect(UnitText.count(Int64.min) == "-9,223,372,036,854,775,808")
    #expect(UnitText.duration(seconds: 93_784) == "1 d 2 h" && UnitText.duration(seconds: 0) == "0 s")
    #expect(UnitText.duration(seconds: 3600) == "1 h" && UnitText.duration(seconds: 200) == "3 min 20 s")
    #expect(UnitText.lag(milliseconds: 180) == "180 ms" && UnitText.lag(milliseconds: 3210) == "3.2 s")
    #expect(UnitText.lag(milliseconds: nil) == "-" && UnitText.lag(milliseconds: 250_000) == "4 min 10 s")
  }

  @Test(
    "times are read as people type them",
    arguments: [
      ("90", 90), ("90s", 90), ("15m", 900), ("24h", 86_400), ("7d", 604_800), ("", nil), ("h", nil), ("-1h", nil),
      ("1.5h", nil), ("1 h", nil), ("99999999999999999999d", nil), ("9999999999d", nil), ("1w", nil), ("１h", nil),
    ] as [(String, Int64?)])
  func durations(text: String, expected: Int64?) {
    #expect(DurationText.seconds(text) == expected)
  }
}
