import BongsuAPI
import BongsuReports
import FixtureAggregator

/// Stored history of a fixture's allocations, as the aggregator must tell it: a row only where the scope covers it, names
/// that do not exist refused.
struct MemoryHistory: HistorySource {
  let live: FixtureAggregator

  func storage() async throws -> StorageReport {
    StorageReport(parts: [StorageReport.Part(name: "raw", bytes: Int64(live.allocations.count) * 1_000_003)])
  }

  func ledger(_ request: LedgerRequest, within scope: AccessScope) async throws -> LedgerReport {
    let all = live.allocations
    if let asked = request.allocation, !all.contains(where: { $0.allocation == asked }) {
      throw APIError.unknownName("allocation", asked, known: all.map(\.allocation))
    }
    if let asked = request.factory, !all.contains(where: { $0.factory == asked }) {
      throw APIError.unknownName("factory", asked, known: all.map(\.factory))
    }
    let meant = all.filter {
      request.allocation ?? $0.allocation == $0.allocation && request.factory ?? $0.factory == $0.factory
        && scope.includes(["allocation": $0.allocation, "factory": $0.factory])
    }
    return LedgerReport(
      entries: meant.map {
        LedgerEntry(
          allocation: $0.allocation, depth: 1, factory: $0.factory, startUnixMilliseconds: 0,
          endUnixMilliseconds: 3_600_000, grantedGPUHours: nil, expectedGPUHours: 8, reportingGPUHours: 8,
          busyGPUHours: 4, idleGPUHours: 4, energyJoules: 1e6, meanWatts: nil, peakWatts: nil, stored: 1)
      })
  }
}

/// A page whose ticks stand still; names outside of a scope are as unknown as any.
struct StillPage: PageSource {
  let live: FixtureAggregator

  func forEachClosedTick(_ body: @Sendable () async -> Void) async {
    while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
  }

  private func seen(_ view: PageView, _ scope: AccessScope) throws -> [(allocation: String, factory: String)] {
    let seen = live.allocations.filter { scope.includes(["allocation": $0.allocation, "factory": $0.factory]) }
    if case .allocation(let path) = view, !seen.contains(where: { $0.allocation == path }) {
      throw APIError.unknownName("allocation", path)
    }
    if case .factory(let id, _) = view, !seen.contains(where: { $0.factory == id }) {
      throw APIError.unknownName("factory", id)
    }
    return seen
  }

  func opening(of view: PageView, for scope: AccessScope) async throws -> PageOpening {
    var opening = PageOpening(
      version: "test", nation: "Testland", zone: "UTC", secondsEast: 0, energySinceUnixMilliseconds: 0,
      isDemonstration: false, subject: PageGroup(id: "t", name: "Testland"))
    opening.allocations = try seen(view, scope).map { PageGroup(id: $0.allocation, name: $0.allocation) }
    return opening
  }

  func figures(of view: PageView, for scope: AccessScope) async throws -> PageFigures? {
    var figures = PageFigures(tickUnixMilliseconds: ScopedWorld.start)
    figures.racks = try seen(view, scope).map { Int64($0.allocation.utf8.count) }
    return figures
  }
}
