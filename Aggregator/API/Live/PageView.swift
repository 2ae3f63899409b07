/// What somebody who watches the page looks at.
public enum PageView: Hashable, Sendable {
  /// Every factory and every allocation.
  case nation
  /// The nation's own row only: for views that show something else, and the state of alerts.
  case summary
  /// One factory: its halls, and one figure for each of its racks.
  case factory(String, heat: HeatFigure)
  /// One rack: its nodes. The hall as a bare name.
  case rack(factory: String, hall: String, rack: String)
  /// One node: its GPUs.
  case node(String)
  /// One allocation: its parts, and where its GPUs stand.
  case allocation(String)
}

/// What a factory's heat map shows of each rack.
public enum HeatFigure: String, Sendable, CaseIterable {
  /// IT power, watts.
  case power
  /// Mean utilization of the GPUs that report it, thousandths.
  case utilization
  /// Temperature of the hottest GPU, tenths of a degree Celsius.
  case temperature
  /// Share of the expected GPUs that reported, thousandths.
  case coverage
}

/// What the page watches, as the daemon answers it.
///
/// Thread rule: from any task, many at once. Answers are bounded by the fleet's halls, racks or nodes of the one place
/// that is looked at, never by its GPUs.
public protocol PageSource: Sendable {
  /// Calls `body` each time a tick has closed, until the task is cancelled. Ticks that close meanwhile are passed over but
  /// for the newest.
  func forEachClosedTick(_ body: @Sendable () async -> Void) async

  /// What stays as long as the view is open: names, contracts, and how power went in the last minutes.
  ///
  /// Both answers hold what `scope` covers and nothing else. Throws ``APIError/unknownName(_:_:known:)`` for a name that the
  /// fleet does not have, and in the same words for one of which the scope sees nothing.
  func opening(of view: PageView, for scope: AccessScope) async throws -> PageOpening

  /// The figures of the newest closed tick, in the order of the opening; `nil` before the first, and when this tick is
  /// left out to keep the stream within its bounds.
  func figures(of view: PageView, for scope: AccessScope) async throws -> PageFigures?
}
