public import BongsuSeries
internal import Synchronization

/// Series whose values all come at the same instants: for each metric name one row of values per tick, kept in memory for
/// as long as rules look back. What rules over live rollups read, without disk.
///
/// Thread rule: rows of one family come from one thread; reading from any.
public final class TickSeries: MemorySource {
  /// Stands for a value that is not there at a tick; the series has ended then.
  public static let absent = StaleMarker.value

  private struct Family {
    let sets: [LabelSet]
    var keepMilliseconds: Int64
    var times: [Int64] = []
    var rows: [[Double]] = []
    /// Positions that the matchers of earlier questions chose.
    var chosen: [[LabelMatcher]: [Int]] = [:]
  }

  private let families = Mutex<[String: Family]>([:])

  public init() {}

  /// Makes the family `name`, one series for each of `labels` (without a name), kept for `keepMilliseconds`. A family that
  /// is there keeps its rows, for the longer of the two spans.
  public func define(_ name: String, _ labels: [LabelSet], keepMilliseconds: Int64) {
    families.withLock { families in
      if let known = families[name] {
        families[name]?.keepMilliseconds = max(keepMilliseconds, known.keepMilliseconds)
      } else {
        families[name] = Family(sets: labels.map { $0.named(name) }, keepMilliseconds: keepMilliseconds)
      }
    }
  }

  /// Forgets all families but those of `names`.
  public func keepOnly(_ names: Set<String>) {
    families.withLock { families in families = families.filter { names.contains($0.key) } }
  }

  /// Adds the row of one tick; a row that is not newer than the last is left out. Precondition: as many values as labels.
  public func append(_ name: String, at time: Int64, _ values: [Double]) {
    families.withLock { families in
      guard var family = families.removeValue(forKey: name) else { return }
      defer { families[name] = family }
      precondition(
        values.count == family.sets.count, "\(values.count) values for \(family.sets.count) series of \(name)")
      guard family.times.last.map({ $0 < time }) ?? true else { return }
      family.times.append(time)
      family.rows.append(values)
      let outdated = family.times.prefix { $0 < time - family.keepMilliseconds }.count
      // One row more than asked for, so that a window always has its first sample.
      if outdated > 1 {
        family.times.removeFirst(outdated - 1)
        family.rows.removeFirst(outdated - 1)
      }
    }
  }

  /// Whether there is a family of this name.
  public func canHold(name: String) -> Bool { families.withLock { $0[name] != nil } }

  /// Names of all families, sorted.
  public var names: [String] { families.withLock { $0.keys.sorted(by: ByteOrder.precedes) } }

  public func visitSeries(_ selection: SeriesSelection, _ visit: (LabelSet, SampleBuffer) throws -> Void) throws {
    let name = selection.matchers.filter { $0.name == Label.metricName }
    let rest = selection.matchers.filter { $0.name != Label.metricName }
    let found = families.withLock { families in
      let candidates = name.lazy.compactMap(\.exactValues).first ?? families.keys.sorted(by: ByteOrder.precedes)
      return candidates.compactMap { candidate -> (Family, [Int])? in
        guard name.allSatisfy({ $0.matches(candidate) }), var family = families.removeValue(forKey: candidate) else {
          return nil
        }
        defer { families[candidate] = family }
        if let known = family.chosen[rest] { return (family, known) }
        let positions = family.sets.indices.filter { position in
          rest.allSatisfy { $0.matches(family.sets[position]) }
        }
        if family.chosen.count >= AlertLimits.chosenPositionsMax { family.chosen.removeAll() }
        family.chosen[rest] = positions
        return (family, positions)
      }
    }
    var buffer = SampleBuffer()
    for (family, positions) in found {
      var positions = positions
      if selection.isSorted { positions.sort { family.sets[$0] < family.sets[$1] } }
      guard let last = family.times.lastIndex(where: { $0 <= selection.endMilliseconds }) else { continue }
      let first =
        selection.wantsNewestOnly
        ? last : family.times.firstIndex { $0 >= selection.startMilliseconds } ?? family.times.count
      guard first <= last, family.times[first] >= selection.startMilliseconds else { continue }
      for position in positions {
        buffer.removeAll()
        for index in first...last {
          let value = family.rows[index][position]
          // An end is told once; before the first value there is none.
          if StaleMarker.isStale(value), buffer.values.last.map({ StaleMarker.isStale($0) }) ?? true { continue }
          buffer.append(timestamp: family.times[index], value: value)
        }
        if !buffer.isEmpty { try visit(family.sets[position], buffer) }
      }
    }
  }
}
