import BongsuQuery
import Testing

@testable import bongsu

@Suite struct ChartTests {
  private static func rows(_ values: [Double?], quantity: Quantity = .plain, height: Int = 5) -> [String] {
    let points = values.enumerated().compactMap { index, value in value.map { (time: Int64(index) * 1000, value: $0) } }
    let chart = Chart(
      series: [Chart.Series(points: points)], start: 0, end: Int64(max(1, values.count - 1)) * 1000, step: 1000,
      quantity: quantity)
    return chart.lines(width: 40, height: height, style: .plain)
  }

  @Test("nothing is drawn where nothing is known")
  func gaps() {
    let whole = Self.rows([1, 1, 1, 1, 1, 1, 1, 1, 1])
    let broken = Self.rows([1, 1, 1, nil, nil, nil, 1, 1, 1])
    func marks(_ rows: [String]) -> Int { rows.joined().count { $0 == "a" } }
    #expect(marks(whole) > marks(broken) && marks(broken) > 10)
    #expect(marks(Self.rows([1, .nan, .infinity, 1])) == 2)
  }

  @Test(
    "extreme values, one value and none make an axis and no crash",
    arguments: [
      [], [0], [-1], [1e308, -1e308], [.nan], [.infinity], [Double.leastNonzeroMagnitude, 0], [1e-9, 2e-9], [1, 1],
      [-3, -2.9],
      [1e300, 1e300],
    ] as [[Double]])
  func extremes(values: [Double]) {
    let rows = Self.rows(values)
    #expect(rows.count == 7 && rows.allSatisfy { $0.count <= 60 })
  }

  @Test("several series in one cell are an asterisk without colour, and every series has a colour with it")
  func several() {
    let line = Chart.Series(points: [(0, 1), (1000, 1)])
    let chart = Chart(series: [line, line], start: 0, end: 1000, step: 1000, quantity: .watts)
    #expect(chart.lines(width: 40, height: 5, style: .plain).contains { $0.contains("****") })
    let coloured = TerminalStyle(isTerminal: true, environment: ["TERM": "xterm"])
    #expect(chart.lines(width: 40, height: 5, style: coloured).contains { $0.contains("\u{1B}[38;5;214m") })
  }

  @Test(
    "the unit follows from names and functions, and is left out where it does not",
    arguments: [
      ("bongsu_gpu_power_watts", Quantity.watts), ("sum by (a) (bongsu_gpu_power_watts)", .watts),
      ("factory:bongsu_gpu_power_watts:sum", .watts), ("nation:bongsu_coverage:ratio", .ratio),
      ("rate(bongsu_gpu_energy_joules_total[1m])", .watts), ("increase(bongsu_gpu_energy_joules_total[1m])", .joules),
      ("count(bongsu_gpu_power_watts)", .plain), ("a_watts / b_watts", .plain), ("a_watts / 1000", .plain),
      ("a_watts - b_watts", .watts), ("a_watts > 300", .watts), ("a_watts > bool 300", .plain),
      ("a_watts * b_ratio", .watts), ("quantile_over_time(0.9, x_seconds[5m])", .seconds), ("up", .plain),
      ("max_over_time(x_celsius[5m:1m])", .celsius), ("factory:bongsu_gpu_power_watts:count", .plain),
    ])
  func units(expression: String, expected: Quantity) throws {
    #expect(try Quantity(of: Parser.parse(expression)) == expected)
  }

  @Test("values have four significant digits and the prefix that fits")
  func quantities() {
    #expect(Quantity.watts.text(999.96) == "1.000 kW" && Quantity.watts.text(-1500) == "-1.500 kW")
    #expect(Quantity.ratio.text(0.5) == "50.00 %" && Quantity.seconds.text(0.00123) == "1.230 ms")
    #expect(Quantity.seconds.text(7200) == "7200 s" && Quantity.celsius.text(64.5) == "64.50 °C")
    #expect(Quantity.plain.text(1, exact: "1e+00") == "1e+00" && Quantity.watts.text(.nan, exact: "NaN") == "NaN")
    #expect(Quantity.plain.text(1_500_000) == "1.500 M" && Quantity.bytes.text(0) == "0 B")
  }
}
