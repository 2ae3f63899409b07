import BongsuAPI
import BongsuFleet
import BongsuModel
import BongsuReports
import BongsuRollup
import BongsuStore
import Foundation

/// Forms stored rollups anew by the present fleet file, which nothing else does: a changed file counts from then on.
///
/// The audit log has it before anything is changed. The two are different files, so a crash between them leaves an entry
/// of something that was not done, never the other way round.
struct FleetAnswers: FleetControl {
  let keeper: TierKeeper
  let tree: FleetTree
  let registry: Registry
  /// The clock, for tests.
  var now: @Sendable () -> Tick = { Tick(unixMilliseconds: Int64(Date().timeIntervalSince1970 * 1000)) }

  func restate(_ request: RestateRequest, by person: Operator) async throws -> RestateReport {
    let answers = self
    return try await IngestService.onThread("restate") { try answers.restateNow(request.from, person.name) }
  }

  func restateNow(_ text: String, _ actor: String) throws -> RestateReport {
    let zone = tree.timeZone
    guard let from = zone.tick(parsing: text) else {
      throw APIError(
        .badParameter, "from is \"\(text.quotedForMessage)\"",
        nextStep: "give a day of \(zone.name) such as 2026-11-01, or an instant such as 2026-11-01T09:30")
    }
    let now = now()
    guard from <= now else {
      throw APIError(
        .badParameter, "from is \(zone.text(of: from)), which is yet to come; it is \(zone.text(of: now))",
        nextStep: "leave it: minutes to come are formed by the present fleet file anyway")
    }
    guard let newest = try keeper.store.newestMinute(), newest > from else {
      throw APIError(
        .badParameter, "no minute is stored from \(zone.text(of: from)) on",
        nextStep: "give an earlier day; minutes to come are formed by the present fleet file anyway")
    }
    let floor = Tick(unixMilliseconds: keeper.store.lateFloor)
    guard from >= floor else {
      throw APIError(
        .badParameter,
        "from is \(zone.text(of: from)), and what minutes before \(zone.text(of: floor)) are formed of is no longer kept",
        nextStep: "give \(zone.text(of: floor)) or later; --raw-bytes, --raw-days and --tier-days say what is kept")
    }
    let minutes = try keeper.restate(from: from) { minutes in
      try registry.note(
        AuditEntry(
          at: now, actor: actor, action: "fleet_restated", subject: zone.text(of: from),
          detail: "\(minutes) minutes up to \(zone.text(of: newest))"))
    }
    guard minutes > 0 else {
      throw APIError(
        .badParameter,
        "nothing is to be restated: all minutes from \(zone.text(of: from)) on are of the present fleet file",
        nextStep: "start the aggregator with the changed fleet file first, or give an earlier day")
    }
    return RestateReport(fromUnixMilliseconds: from.unixMilliseconds, from: zone.text(of: from), minutes: minutes)
  }
}

extension TierKeeper.Fleet {
  /// A fleet file as it was read, to be kept beside the minutes that are formed by it: its options, a byte, and its text.
  init(_ plan: RollupPlan, text: String, options: FleetOptions) {
    self.init(plan, bytes: [options.demoInService ? 1 : 0] + Array(text.utf8)) { bytes in
      let options = FleetOptions(demoInService: bytes.first == 1)
      let text = String(decoding: bytes.dropFirst(), as: UTF8.self)
      return RollupPlan(try FleetFile(text: text, path: "an earlier fleet file", options: options).usableTree())
    }
  }
}
