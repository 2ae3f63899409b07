import BongsuAPI
import BongsuFleet
import BongsuModel
import BongsuReports
import BongsuStore

/// Answers which ticks are lost, from the gap records of the history.
///
/// Records come there behind the journals, within half a minute.
struct GapAnswers: GapSource {
  let history: History
  let tree: FleetTree

  func gaps(_ request: GapRequest, within access: AccessScope) async throws -> GapList {
    let scope = try FleetScope(
      TopFilter(factory: request.factory, allocation: request.allocation, node: request.node), tree, within: access)
    let ticks =
      Tick(
        unixMilliseconds: request.startUnixMilliseconds)...Tick(unixMilliseconds: request.endUnixMilliseconds)
    let history = history
    let (stored, damaged) = try await IngestService.onThread("gaps") { try history.gaps(of: scope.node, ticks) }
    let reports = stored.compactMap { gap -> GapReport? in
      let place = NodePlace(gap.node, tree, at: gap.ticks?.lowerBound ?? ticks.upperBound)
      if !scope.isEmpty, place.map({ scope.contains($0, gap.node) }) != true { return nil }
      return GapReport(gap, place, tree)
    }
    return GapList(reports, damaged: damaged, limit: request.limit)
  }
}

extension GapReport {
  init(_ gap: StoredGap, _ place: NodePlace?, _ tree: FleetTree) {
    let why = gap.explanation
    self.init(node: gap.node.name, reason: why.label, text: why.text, nextStep: why.nextStep)
    if let place, tree.node(gap.node) != nil {
      factory = tree[place.factory].id
      allocation = tree[place.allocation].path
    }
    firstTickUnixMilliseconds = gap.ticks?.lowerBound.unixMilliseconds
    lastTickUnixMilliseconds = gap.ticks?.upperBound.unixMilliseconds
    rows = gap.sequences.map { Int64($0.upperBound - $0.lowerBound + 1) }
  }
}
