import BongsuReports
import BongsuTestKit
import Testing

/// A month's account against one that is added up the slow way, from the seconds behind the rows.
@Suite struct UsageAccountTests {
  private static let start: Int64 = 1_795_219_200_000
  private static let gpus = 4

  /// A second of one GPU: absent while it is silent.
  private struct Second {
    var watts: Double
    var utilization: Double
    var isEstimated: Bool
  }

  /// Random seconds of a few GPUs for `hours` hours; whole stretches are missing or estimated.
  private func seconds(hours: Int, _ random: inout SeededRandom) -> [[Second?]] {
    (0..<Self.gpus).map { _ in
      var out: [Second?] = []
      while out.count < hours * 3600 {
        let length = Int.random(in: 60...2400, using: &random)
        let kind = Int.random(in: 0..<5, using: &random)
        let watts = Double(Int.random(in: 100...1000, using: &random))
        let utilization = Double(Int.random(in: 0...4, using: &random)) / 4
        out += Array(
          repeating: kind == 0 ? nil : Second(watts: watts, utilization: utilization, isEstimated: kind == 1),
          count: length)
      }
      return Array(out.prefix(hours * 3600))
    }
  }

  private func minutes(_ gpus: [[Second?]]) -> [UsageMinute] {
    (0..<(gpus[0].count / 60)).compactMap { minute in
      let all = gpus.flatMap { $0[(minute * 60)..<(minute * 60 + 60)] }.compactMap(\.self)
      guard !all.isEmpty else { return nil }
      let measured = all.filter { !$0.isEstimated }
      return UsageMinute(
        startUnixMilliseconds: Self.start + Int64(minute) * 60_000,
        measuredWatts: measured.reduce(0) { $0 + $1.watts } / 60,
        estimatedWatts: all.filter(\.isEstimated).reduce(0) { $0 + $1.watts } / 60,
        utilization: measured.isEmpty ? nil : measured.reduce(0) { $0 + $1.utilization } / Double(measured.count))
    }
  }

  private func hours(_ gpus: [[Second?]]) -> [UsageHour] {
    (0..<(gpus[0].count / 3600)).map { hour in
      let all = gpus.flatMap { $0[(hour * 3600)..<(hour * 3600 + 3600)] }.compactMap(\.self).filter { !$0.isEstimated }
      return UsageHour(
        startUnixMilliseconds: Self.start + Int64(hour) * 3_600_000, grantedGPUHours: 5,
        expectedGPUHours: Double(Self.gpus),
        reportingGPUHours: Double(all.count) / 3600, busyGPUHours: Double(all.count { $0.utilization >= 0.5 }) / 3600,
        energyJoules: all.reduce(0) { $0 + $1.watts }, stored: 1)
    }
  }

  private func close(_ left: Double?, _ right: Double?) -> Bool {
    guard let left, let right else { return left == nil && right == nil }
    return abs(left - right) <= 1e-9 * max(1, abs(left), abs(right))
  }

  @Test("sums, means and the highest quarter equal those added up second by second, in whatever order rows come")
  func bruteForce() {
    var random = SeededRandom(default: 20_261_128)
    for _ in 0..<8 {
      let count = Int.random(in: 1...5, using: &random)
      let end = Self.start + Int64(count) * 3_600_000
      let gpus = seconds(hours: count, &random)
      let factor = CarbonFactor(sinceUnixMilliseconds: Self.start - 1, tonnesPerMegawattHour: 0.4173)
      let account = UsageAccount(
        startUnixMilliseconds: Self.start, endUnixMilliseconds: end, hours: hours(gpus).shuffled(using: &random),
        minutes: minutes(gpus).shuffled(using: &random), carbon: [factor])
      let measured = gpus.joined().compactMap(\.self).filter { !$0.isEstimated }
      let joules = measured.reduce(0) { $0 + $1.watts }
      #expect(close(account.energyJoules, joules), "seed \(random.seed)")
      #expect(close(account.carbonTonnes, joules / 3.6e9 * 0.4173))
      #expect(close(account.reportingGPUHours, Double(measured.count) / 3600))
      #expect(close(account.idleGPUHours, Double(measured.count { $0.utilization < 0.5 }) / 3600))
      #expect(account.grantedGPUHours == Double(5 * count) && account.stored == 1)
      #expect(close(account.coverage, Double(measured.count) / 3600 / Double(4 * count)))
      var best: (watts: Double, start: Int64)?
      for quarter in 0..<(count * 4) {
        let parts = gpus.map { Array($0[(quarter * 900)..<(quarter * 900 + 900)]) }
        let known = (0..<15).count { minute in
          parts.contains { $0[(minute * 60)..<(minute * 60 + 60)].contains { $0 != nil } }
        }
        guard known > 0 else { continue }
        let watts = parts.joined().compactMap(\.self).reduce(0) { $0 + $1.watts } / Double(known * 60)
        if watts > (best?.watts ?? -1) + 1e-9 { best = (watts, Self.start + Int64(quarter) * 900_000) }
      }
      #expect(close(account.peak?.watts, best?.watts) && account.peak?.startUnixMilliseconds == best?.start)
      let estimated = gpus.joined().compactMap(\.self).filter(\.isEstimated).reduce(0) { $0 + $1.watts }
      #expect(close(account.estimatedShare, joules + estimated > 0 ? estimated / (joules + estimated) : nil))
      let utilizations = minutes(gpus).compactMap(\.utilization)
      let median = account.utilizationMedian ?? -1
      #expect(utilizations.count { $0 <= median } * 2 >= utilizations.count)
      #expect(utilizations.count { $0 < median } * 2 <= utilizations.count)
    }
  }

  private func account(_ hours: [UsageHour], _ minutes: [UsageMinute] = [], _ factors: [CarbonFactor] = [])
    -> UsageAccount
  {
    UsageAccount(
      startUnixMilliseconds: Self.start, endUnixMilliseconds: Self.start + 7_200_000, hours: hours, minutes: minutes,
      carbon: factors)
  }

  private func hour(_ number: Int64, granted: Double? = 1, joules: Double = 3.6e9) -> UsageHour {
    UsageHour(
      startUnixMilliseconds: Self.start + number * 3_600_000, grantedGPUHours: granted, expectedGPUHours: 0,
      reportingGPUHours: 0, busyGPUHours: 0, energyJoules: joules, stored: 1)
  }

  @Test("of a time without rows nothing is known, and nothing is zero that is not")
  func empty() {
    let empty = account([])
    #expect(empty.meanWatts == nil && empty.peak == nil && empty.coverage == nil && empty.utilizationMean == nil)
    #expect(empty.grantedGPUHours == nil && empty.carbonTonnes == nil && empty.stored == 0 && empty.minutes == 120)
    #expect(account([hour(0), hour(1, granted: nil)]).grantedGPUHours == nil)
    #expect(account([hour(0)]).stored == 0.5)
  }

  @Test("rows outside of the time do not count, those at its first instant do")
  func bounds() {
    #expect(account([hour(-1), hour(0), hour(1), hour(2)]).energyJoules == 7.2e9)
  }

  @Test("each hour's energy weighs by the factor of its day, and what came before the first one is not made up")
  func carbon() {
    let old = CarbonFactor(sinceUnixMilliseconds: Self.start, tonnesPerMegawattHour: 0.4541)
    let new = CarbonFactor(sinceUnixMilliseconds: Self.start + 3_600_000, tonnesPerMegawattHour: 0.4173)
    #expect(close(account([hour(0), hour(1)], [], [new, old]).carbonTonnes, 0.8714))
    #expect(account([hour(0), hour(1)], [], [new]).carbonTonnes == nil)
    #expect(close(account([hour(0, joules: 0), hour(1)], [], [new]).carbonTonnes, 0.4173))
  }

  @Test("of equal quarters the first is the peak, and a half-known one says so")
  func peak() {
    let minutes = [0, 15, 16, 30].map {
      UsageMinute(
        startUnixMilliseconds: Self.start + $0 * 60_000, measuredWatts: $0 == 30 ? 100 : 400, estimatedWatts: 100,
        utilization: nil)
    }
    let peak = account([], minutes).peak
    #expect(
      peak?.watts == 500 && peak?.estimatedWatts == 100 && peak?.startUnixMilliseconds == Self.start
        && peak?.knownMinutes == 1)
  }
}
