import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuStore
import Synchronization

/// Lets the demand of meters go on over restarts, and follow late rows: finished quarter-hours are those of the stored
/// tiers.
///
///     start:          the last days' quarter-hours, then the peaks of thirteen months
///     minute formed:  its quarter-hour of stored minutes, and the ticks that came after them
///
/// Thread rule: ``minuteFormed(_:)`` from the thread that forms minutes; all of it blocks on disk.
final class DemandHistory: Sendable {
  /// What is stored of a quarter-hour.
  struct Quarter: Hashable, Sendable {
    /// mW × ms of the covered time.
    var energy: Int64 = 0
    var coveredMilliseconds: Int64 = 0

    /// Mean power, mW, where enough is covered to be billed.
    var billable: Int64? {
      coveredMilliseconds * 10 >= DemandMeter.intervalMilliseconds * 9 ? energy / coveredMilliseconds : nil
    }
  }

  private let feed: AlertFeed
  private let tiers: TierStore
  private let tree: FleetTree
  private let meters: [String: Int]
  private let clocks: [DemandMeter]

  private static let length = DemandMeter.intervalMilliseconds
  private static let day: Int64 = 86_400_000

  init(feed: AlertFeed, tiers: TierStore, tree: FleetTree) {
    self.feed = feed
    self.tiers = tiers
    self.tree = tree
    meters = Dictionary(
      tree.meters.enumerated().map { ("\(tree[$0.element.factory].id)/\($0.element.id)", $0.offset) }
    ) { first, _ in first }
    clocks = tree.meters.map { DemandMeter($0, timeZone: tree.timeZone) }
  }

  /// Puts the quarter-hours of the last days, before the first tick.
  func restore() throws {
    guard let newest = try tiers.newestMinute() else { return }
    try restate(from: newest.unixMilliseconds - Int64(Limits.demandIntervalsKept) * Self.length, newest)
  }

  /// Reads the peaks of thirteen months. Takes time with the number of meters.
  func restorePeaks() throws {
    guard let newest = try tiers.newestMinute()?.unixMilliseconds else { return }
    var peaks: [Int: [Int: Int64]] = [:]
    // A week at a time, so that memory does not grow with history.
    for start in stride(from: newest - 400 * Self.day, to: newest, by: Int(7 * Self.day)) {
      // A quarter-hour on the border is whole in the week after.
      let quarters = try self.quarters(
        Tick(unixMilliseconds: start - Self.length)...Tick(unixMilliseconds: start + 7 * Self.day))
      for (meter, ends) in quarters {
        for (end, quarter) in ends {
          guard let milliwatts = quarter.billable else { continue }
          let month = clocks[meter].month(of: end)
          peaks[meter, default: [:]][month] = max(peaks[meter]?[month] ?? 0, milliwatts)
        }
      }
    }
    feed.note(
      peaks: peaks.mapValues { months in months.map { DemandMeter.MonthPeak(month: $0.key, milliwatts: $0.value) } })
  }

  /// Takes over what a minute says that was just stored, for the first time or again.
  func minuteFormed(_ end: Tick) throws {
    guard let newest = try tiers.newestMinute() else { return }
    try restate(from: end.unixMilliseconds - Self.length, through: end.unixMilliseconds + Self.length, newest)
  }

  /// Replaces all quarter-hours that end in a time, as far as minutes are stored.
  private func restate(from start: Int64, through last: Int64 = .max, _ newest: Tick) throws {
    let upper = min(last, newest.unixMilliseconds)
    guard start < upper else { return }
    // Quarter-hours at both ends are whole: their own length more is read.
    let range = Tick(unixMilliseconds: start - Self.length)...Tick(unixMilliseconds: upper)
    let quarters = try self.quarters(range).mapValues { ends in
      ends.filter { $0.key.unixMilliseconds > start && $0.key.unixMilliseconds - Self.length < upper }
    }
    feed.restate(quarters, stored: newest)
  }

  private func quarters(_ range: ClosedRange<Tick>) throws -> [Int: [Tick: Quarter]] {
    var found: [Int: [Tick: Quarter]] = [:]
    for tier in Set(clocks.indices.map(tier(of:))).sorted() {
      try tiers.forEachFacilityPower(.rollup(.meter), tier, in: range) { labels, end, sum, ticks in
        guard let meter = meter(labels), self.tier(of: meter) == tier else { return }
        let quarter = clocks[meter].quarterEnd(of: end)
        found[meter, default: [:]][quarter, default: Quarter()].energy += sum * 1000
        found[meter, default: [:]][quarter, default: Quarter()].coveredMilliseconds += ticks * 1000
      }
    }
    return found
  }

  /// Windows that no quarter-hour of the meter's own clock cuts; a clock that is off by odd seconds is cut by up to 10 s.
  private func tier(of meter: Int) -> Tier { tree.meters[meter].clockOffsetSeconds % 60 == 0 ? .minute : .tenSeconds }

  private func meter(_ labels: [(name: String, value: String)]) -> Int? {
    guard let factory = labels.first(where: { $0.name == "factory" })?.value,
      let id = labels.first(where: { $0.name == "meter" })?.value
    else { return nil }
    return meters["\(factory)/\(id)"]
  }
}
