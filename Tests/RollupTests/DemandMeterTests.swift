import BongsuFleet
import BongsuModel
import BongsuRollup
import Testing

@Suite("Demand of a meter")
struct DemandMeterTests {
  static func meter(offsetSeconds: Int = 0) -> Meter {
    let text = """
      version: 1
      nation: t
      time_zone: Asia/Seoul
      factories:
        - id: f
          halls: [{ id: a, planned: true, model: H100, racks: [{ id: r, nodes: n1 }] }]
          meters: [{ id: m, pue: 1.2, contract_power: 1 MW, clock_offset_seconds: \(offsetSeconds) }]
      """
    return FleetFile(text: text, path: "t").tree!.meters[0]
  }

  static let seoul = TimeZoneOffset("Asia/Seoul")!
  /// 2026-01-01T00:00:00 in Seoul.
  static let newYear = seoul.tick(parsing: "2026-01-01")!

  static func demand(_ meter: Meter = meter(), peaks: [DemandMeter.MonthPeak] = []) -> DemandMeter {
    DemandMeter(meter, timeZone: seoul, monthPeaks: peaks)
  }

  /// Adds constant power for `seconds`, beginning with the tick one second after `from`.
  static func run(_ demand: inout DemandMeter, _ milliwatts: Int64, from: Tick, seconds: Int) {
    for second in 0..<seconds {
      demand.add(milliwatts: milliwatts, at: from.advanced(by: second + 1, of: .second), interval: .second)
    }
  }

  @Test("the forecast is energy so far plus current power for the time left")
  func forecast() {
    var demand = Self.demand()
    #expect(demand.outlook == nil)
    Self.run(&demand, 600_000_000, from: Self.newYear, seconds: 300)
    Self.run(&demand, 900_000_000, from: Self.newYear.advanced(by: 300, of: .second), seconds: 1)
    let outlook = demand.outlook!
    #expect(outlook.end == Self.newYear.advanced(by: 900, of: .second))
    #expect(outlook.averageMilliwatts == (600_000_000 * 300 + 900_000_000) / 301)
    #expect(outlook.forecastMilliwatts == (600_000_000 * 300 + 900_000_000 * 600) / 900)
    #expect(outlook.headroomMilliwatts == 200_000_000)
    #expect(outlook.ratchetPeakMilliwatts == 0)
    #expect(DemandSeries.headroom.value(outlook) == 200_000)
  }

  @Test("a finished quarter-hour is a peak of its month, one that is mostly missing is not")
  func peaks() {
    var demand = Self.demand()
    Self.run(&demand, 500_000_000, from: Self.newYear, seconds: 900)
    Self.run(&demand, 700_000_000, from: Self.newYear.advanced(by: 900, of: .second), seconds: 800)
    Self.run(&demand, 100_000_000, from: Self.newYear.advanced(by: 1800, of: .second), seconds: 1)
    #expect(demand.outlook?.monthPeakMilliwatts == 500_000_000)
    Self.run(&demand, 100_000_000, from: Self.newYear.advanced(by: 1700, of: .second), seconds: 100)
    #expect(demand.outlook?.monthPeakMilliwatts == 633_333_333)
  }

  @Test("the ratchet remembers the tariff's months of the last year and the running one, and no others")
  func ratchet() {
    let january = 2026 * 12
    let peaks: [DemandMeter.MonthPeak] = [
      .init(month: january - 13, milliwatts: 990_000_000),  // December 2024: over a year ago
      .init(month: january - 7, milliwatts: 950_000_000),  // June 2025: no month of the tariff
      .init(month: january - 6, milliwatts: 800_000_000),  // July 2025
      .init(month: january - 1, milliwatts: 700_000_000),  // December 2025
    ]
    var demand = Self.demand(peaks: peaks)
    Self.run(&demand, 100_000_000, from: Self.newYear, seconds: 1)
    #expect(demand.outlook?.ratchetPeakMilliwatts == 800_000_000)
    #expect(demand.outlook?.monthPeakMilliwatts == 0)
  }

  @Test("the quarter-hours are those of the meter's clock")
  func clockOffset() {
    var demand = Self.demand(Self.meter(offsetSeconds: 30))
    Self.run(&demand, 100_000_000, from: Self.newYear, seconds: 870)
    #expect(demand.intervals.count == 1)
    #expect(demand.outlook?.end == Self.newYear.advanced(by: 870, of: .second))
    Self.run(&demand, 100_000_000, from: Self.newYear.advanced(by: 870, of: .second), seconds: 1)
    #expect(demand.intervals.count == 2)
  }

  @Test("months are those of the nation's zone")
  func months() {
    var demand = Self.demand()
    let before = Self.newYear.advanced(by: -900, of: .second)
    Self.run(&demand, 900_000_000, from: before, seconds: 900)
    Self.run(&demand, 100_000_000, from: Self.newYear, seconds: 901)
    #expect(demand.allMonthPeaks.map(\.month) == [2025 * 12 + 11, 2026 * 12])
    #expect(demand.outlook?.monthPeakMilliwatts == 100_000_000)
    #expect(demand.outlook?.ratchetPeakMilliwatts == 900_000_000)
  }

  @Test("time that nobody saw counts at the mean of what was seen")
  func uncovered() {
    var demand = Self.demand()
    Self.run(&demand, 600_000_000, from: Self.newYear, seconds: 100)
    Self.run(&demand, 600_000_000, from: Self.newYear.advanced(by: 400, of: .second), seconds: 100)
    #expect(demand.outlook?.forecastMilliwatts == 600_000_000)
  }

  @Test("late rows correct the quarter-hour they belong to, and peaks follow in both directions")
  func corrections() {
    var demand = Self.demand()
    Self.run(&demand, 500_000_000, from: Self.newYear, seconds: 900)
    Self.run(&demand, 100_000_000, from: Self.newYear.advanced(by: 900, of: .second), seconds: 1)
    let tick = Self.newYear.advanced(by: 10, of: .second)
    #expect(demand.outlook?.monthPeakMilliwatts == 500_000_000)
    let isLower = demand.correct(byMilliwatts: -90_000_000, at: tick, interval: .second)
    #expect(isLower && demand.outlook?.monthPeakMilliwatts == 499_900_000)
    let isTooOld = demand.correct(byMilliwatts: 1, at: Self.newYear, interval: .second)
    #expect(!isTooOld)
  }

  @Test("old quarter-hours leave their peak behind, and absurd readings do no harm")
  func forgetting() {
    var demand = Self.demand()
    let quarter = TickInterval(milliseconds: 60_000)!
    for minute in 1...(Limits.demandIntervalsKept + 50) * 15 {
      demand.add(
        milliwatts: minute <= 15 ? 640_000_000 : .max, at: Self.newYear.advanced(by: minute, of: quarter),
        interval: quarter)
    }
    #expect(demand.intervals.count == Limits.demandIntervalsKept)
    #expect(demand.monthPeaks.map(\.milliwatts) == [Limits.meterMilliwattsMax])
    #expect(demand.outlook?.forecastMilliwatts == Limits.meterMilliwattsMax)
  }
}
