import BongsuModel

/// Folds closed ticks into windows and windows into longer ones, and hands out each window once it has ended.
///
/// Ticks come in ascending order. A window ends with its last tick, or when a tick of a later window comes; a window with
/// missing ticks says so by its count of ticks.
public struct RollupCascade: Sendable {
  public let level: RollupLevel
  private var open: [WindowTable?] = Array(repeating: nil, count: WindowLength.allCases.count)

  public init(_ level: RollupLevel) {
    self.level = level
  }

  /// Folds one tick; returns the windows that have ended, shorter ones first.
  public mutating func add(_ tick: ClosedTick) -> [WindowTable] {
    var ended: [WindowTable] = []
    let shortest = WindowLength.tenSeconds
    let end = shortest.end(of: tick.tick)
    if let window = open[0], window.end != end { finish(0, &ended) }
    if open[0] == nil { open[0] = WindowTable(level, shortest, end: end, count: tick[level].count) }
    open[0]!.fold(tick)
    if tick.tick == end { finish(0, &ended) }
    return ended
  }

  /// The window that is being filled; `nil` when none is.
  public func current(_ length: WindowLength) -> WindowTable? {
    WindowLength.allCases.firstIndex(of: length).flatMap { open[$0] }
  }

  /// Ends the window at `index` and merges it into the next longer one, which may end with it.
  private mutating func finish(_ index: Int, _ ended: inout [WindowTable]) {
    guard let window = open[index] else { return }
    open[index] = nil
    ended.append(window)
    let next = index + 1
    guard next < open.count else { return }
    let length = WindowLength.allCases[next]
    let end = length.end(of: window.end)
    if let longer = open[next], longer.end != end { finish(next, &ended) }
    if open[next] == nil { open[next] = WindowTable(level, length, end: end, count: window.count) }
    open[next]!.merge(window)
    if window.end == end { finish(next, &ended) }
  }
}
