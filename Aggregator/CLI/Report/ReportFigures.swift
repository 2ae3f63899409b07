internal import BongsuReports
internal import Foundation

/// The figures of an account in the order in which all forms print them. Pure.
struct ReportFigures {
  /// One figure: what people read and what programs read.
  struct Figure {
    let label: String
    let korean: String
    /// For people; ``UnitText/unknown`` where it is not known.
    let text: String
    /// Name, exact number (empty where it is not known) and unit of the CSV form.
    let field: String
    let exact: String
    let unit: String
  }

  let report: UsageReport

  init(_ report: UsageReport) { self.report = report }

  private var account: UsageAccount { report.account }

  /// `msit/naver-hosted, hosted by NAVER Cloud`.
  var subject: String {
    let subject = report.subject
    return subject.name.isEmpty || subject.name == subject.id ? subject.id : "\(subject.id), \(subject.name)"
  }

  /// `2026-10-01 00:00 to 2026-11-01 00:00 +09:00 (Asia/Seoul)`.
  var span: String {
    "\(report.local(account.startUnixMilliseconds)) to \(report.local(account.endUnixMilliseconds)) \(report.offset)"
      + (report.timeZone == report.offset ? "" : " (\(report.timeZone))")
  }

  /// When it was made, and whether the month was over then.
  var made: String {
    "\(report.local(report.madeUnixMilliseconds)) \(report.offset), Bongsu \(report.release)"
  }

  /// What keeps the account from being a whole one; empty when nothing does.
  var reservations: [String] {
    var list: [String] = []
    if !report.isWholeMonth { list.append("the month is not over: the account ends at the last full hour") }
    if account.stored < 1 {
      list.append(
        "stored history covers \(UnitText.coverage(account.stored)) of the time; the rest adds nothing to any figure")
    }
    if let share = account.estimatedShare, share > 0 {
      list.append(
        "\(share < 0.001 ? "less than 0.1 %" : UnitText.percent(share)) of the power is estimated, for what no sensor reads and nodes that were silent"
      )
    }
    if account.carbonTonnes == nil {
      list.append(
        report.carbonFactors.isEmpty
          ? "the fleet file names no carbon factor"
          : "part of the energy was used before the first carbon factor counts")
    }
    return list
  }

  var all: [Figure] { hours + power + utilization }

  private var hours: [Figure] {
    [
      hours("GPU-hours granted", "배정 GPU 시간", "granted_gpu_hours", account.grantedGPUHours),
      hours("GPU-hours in service", "가동 대상 GPU 시간", "expected_gpu_hours", account.expectedGPUHours),
      hours("GPU-hours reporting", "보고된 GPU 시간", "reporting_gpu_hours", account.reportingGPUHours),
      hours("GPU-hours busy", "사용 GPU 시간", "busy_gpu_hours", account.busyGPUHours),
      hours("GPU-hours idle", "유휴 GPU 시간", "idle_gpu_hours", account.idleGPUHours),
      share("Coverage: reporting of in service", "보고율", "coverage", account.coverage, UnitText.coverage),
      share("Stored history of the time", "저장된 이력 비율", "stored", account.stored, UnitText.coverage),
    ]
  }

  private var power: [Figure] {
    let peak = account.peak
    return [
      Figure(
        label: "GPU energy", korean: "GPU 전력량", text: Self.fixed(account.energyJoules / 3.6e9, 3) + " MWh",
        field: "energy", exact: Self.exact(account.energyJoules), unit: "J"),
      Figure(
        label: "Carbon of that energy", korean: "탄소 배출량",
        text: account.carbonTonnes.map { Self.fixed($0, 3) + " t CO2eq" } ?? UnitText.unknown, field: "carbon",
        exact: account.carbonTonnes.map(Self.exact) ?? "", unit: "tCO2eq"),
      watts("Mean IT power", "평균 전력", "mean_power", account.meanWatts),
      watts("Highest 15-minute demand", "15분 최대수요전력", "peak_demand", peak?.watts),
      watts("  of it estimated", "  그중 추정", "peak_demand_estimated", peak?.estimatedWatts),
      Figure(
        label: "  its quarter-hour", korean: "  발생 시각",
        text: peak.map {
          "\(report.local($0.startUnixMilliseconds)) \(report.offset)"
            + ($0.knownMinutes < 15 ? ", \($0.knownMinutes) of 15 minutes known" : "")
        } ?? UnitText.unknown,
        field: "peak_demand_start",
        exact: peak.map { TimeText.rfc3339(unixMilliseconds: $0.startUnixMilliseconds) } ?? "",
        unit: "UTC"),
      share("Estimated share of power", "추정 전력 비율", "estimated_share", account.estimatedShare, UnitText.percent),
      Figure(
        label: "Minutes of known power", korean: "전력 파악 분",
        text: "\(UnitText.count(Int64(account.knownMinutes))) of \(UnitText.count(Int64(account.minutes)))",
        field: "known_minutes", exact: String(account.knownMinutes), unit: "min"),
    ]
  }

  private var utilization: [Figure] {
    [
      share("Mean utilization", "평균 사용률", "utilization_mean", account.utilizationMean, UnitText.percent),
      share(
        "Utilization not exceeded half of the time", "사용률 중앙값", "utilization_p50", account.utilizationMedian,
        UnitText.percent),
      share(
        "Utilization not exceeded 95 % of the time", "사용률 95 백분위", "utilization_p95", account.utilization95,
        UnitText.percent),
    ]
  }

  private func hours(_ label: String, _ korean: String, _ field: String, _ value: Double?) -> Figure {
    Figure(
      label: label, korean: korean, text: value.map { Self.fixed($0, 1) } ?? UnitText.unknown, field: field,
      exact: value.map(Self.exact) ?? "", unit: "GPUh")
  }

  private func watts(_ label: String, _ korean: String, _ field: String, _ value: Double?) -> Figure {
    Figure(
      label: label, korean: korean, text: value.map { UnitText.scaled($0, "W") } ?? UnitText.unknown, field: field,
      exact: value.map(Self.exact) ?? "", unit: "W")
  }

  private func share(
    _ label: String, _ korean: String, _ field: String, _ value: Double?, _ text: (Double?) -> String
  ) -> Figure {
    Figure(label: label, korean: korean, text: text(value), field: field, exact: value.map(Self.exact) ?? "", unit: "1")
  }

  /// `1,234.5`.
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    let text = String(format: "%.\(decimals)f", value)
    guard let point = text.firstIndex(of: "."), let whole = Int64(text[..<point]) else { return text }
    return (whole == 0 && value < 0 ? "-" : "") + UnitText.count(whole) + text[point...]
  }

  /// The shortest digits that give the number back.
  static func exact(_ value: Double) -> String { "\(value)" }

  /// `0.4173 t CO2eq/MWh from 2025-01-01`.
  func factor(_ factor: CarbonFactor) -> String {
    "\(Self.exact(factor.tonnesPerMegawattHour)) t CO2eq/MWh from \(report.local(factor.sinceUnixMilliseconds).prefix(10))"
  }
}
