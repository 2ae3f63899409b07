public import BongsuAPI
public import BongsuReports

/// Accounts of one month that never change, signed by a key made for the occasion.
public struct FixtureReports: ReportSource {
  public let signer = ReportSigner()
  /// A name that every form has to escape in its own way.
  public static let name = "hosted by \"NAVER\" & <Cloud>, 호스팅"

  public init() {}

  public var key: ReportKey { signer.key }

  /// Two hours of October 2026 in Korea, the second one without history.
  public static func report(of subject: UsageSubject = UsageSubject(.allocation, "msit/naver-hosted", name: name))
    -> UsageReport
  {
    let month = ReportMonth("2026-10")!
    let start = month.start(secondsEast: 32_400)
    let minutes = (0..<60).map { (minute: Int) -> UsageMinute in
      let watts: Double = minute < 45 ? 1_000_000 : 1_250_000.5
      return UsageMinute(
        startUnixMilliseconds: start + Int64(minute) * 60_000, measuredWatts: watts,
        estimatedWatts: minute == 59 ? 750 : 0, utilization: Double(minute) / 60)
    }
    let factor = CarbonFactor(sinceUnixMilliseconds: start - 86_400_000, tonnesPerMegawattHour: 0.4173)
    let account = UsageAccount(
      startUnixMilliseconds: start, endUnixMilliseconds: start + 7_200_000,
      hours: [
        UsageHour(
          startUnixMilliseconds: start, grantedGPUHours: 3056, expectedGPUHours: 3056, reportingGPUHours: 3000.5,
          busyGPUHours: 2100, energyJoules: 5.4321e9, stored: 1)
      ], minutes: minutes, carbon: [factor])
    return UsageReport(
      nation: "대한민국", subject: subject, month: month, timeZone: "Asia/Seoul", secondsEast: 32_400, isWholeMonth: false,
      madeUnixMilliseconds: start + 7_201_000, release: "9.8.7", account: account, carbonFactors: [factor],
      idleNodes: [
        IdleNode(node: "naver-sejong-gov-r001-n1", factory: "naver-sejong", idleWatts: 612.5, hours: 1),
        IdleNode(node: "naver-sejong-gov-r002-n4", factory: "naver-sejong", idleWatts: 80, hours: 1),
      ])
  }

  public func report(_ request: UsageReportRequest, within scope: AccessScope) async throws -> SignedReport {
    guard request.id == "msit/naver-hosted", request.kind == .allocation,
      scope.includes(["allocation": request.id])
    else { throw APIError.unknownName(request.kind.rawValue, request.id) }
    return try SignedReport(Self.report(), by: signer)
  }
}
