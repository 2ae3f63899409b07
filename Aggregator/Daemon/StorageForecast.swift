import BongsuFleet
import BongsuModel
import BongsuReports
import BongsuRollup
import Foundation
import Logging

/// What a fleet's history will take on disk, from the fleet file alone: before anything is stored, and where too little is
/// stored to tell.
struct StorageForecast: Sendable {
  /// GPUs and nodes that are expected at present.
  let gpus: Int
  let nodes: Int
  /// Bytes that one day adds, by the names of ``StorageReport/Part``.
  let bytesPerDay: [String: Double]

  init(_ plan: RollupPlan, at tick: Tick) {
    let tree = plan.tree
    let expected = tree.expectedGPUs(at: tick)
    var racks: Set<RackIndex> = []
    // Halls, factories, the nation, allocations, factory × allocation; and meters, which keep no sketches.
    var groups: Set<[Int]> = []
    var meters: Set<Int> = []
    var gpus = 0
    var nodes = 0
    for position in expected.indices where expected[position] > 0 {
      let node = NodeIndex(position)
      nodes += 1
      gpus += Int(expected[position])
      let hall = tree.hall(of: node)
      let factory = tree[hall].factory
      racks.insert(tree.rack(of: node))
      groups.insert([0])
      groups.insert([1, hall.position])
      groups.insert([2, factory.position])
      if let meter = tree[hall].meter { meters.insert(meter.position) }
      for allocation in tree.lineage(of: tree.allocation(of: node, at: tick)) {
        groups.insert([3, allocation.position])
        groups.insert([4, factory.position, allocation.position])
      }
    }
    self.gpus = gpus
    self.nodes = nodes
    let sketched = Double(groups.count { $0[0] != 4 })
    let whole = Double(groups.count + meters.count)
    let withTens = whole + Double(racks.count)
    let withMinutes = withTens + Double(nodes)
    typealias Bytes = MeasuredBytes
    bytesPerDay = [
      "raw": Double(gpus) * Bytes.samplesOfGPU * 86_400 * Bytes.rawSample,
      "1s": whole * 1440 * Bytes.groupMinuteOfSeconds * Bytes.file,
      "10s": withTens * 24 * Bytes.groupHourOfTenSeconds * Bytes.file,
      "1m": withMinutes * 24 * Bytes.groupHourOfMinutes * Bytes.file,
      "15m": withMinutes * 24 * Bytes.groupHourOfQuarterHours * Bytes.file,
      "1h": withMinutes * 24 * Bytes.groupHourOfHours * Bytes.file,
      "sketches": sketched * 24 * Bytes.groupHourOfSketches * Bytes.file,
    ]
  }

  /// Bytes as they were measured.
  private enum MeasuredBytes {
    /// Values that the national plan has of a GPU and second (DESIGN's budget is for as many).
    static let samplesOfGPU = 14.0
    /// `ops/bench ingest`: 800 GPUs, twelve values a GPU and second, 300 s, chunks of five minutes with their index.
    static let rawSample = 0.62
    // `ops/bench tiers`, a day of 250 nodes of eight GPUs: bytes of bodies by kind of row, over the groups and hours that
    // they are of. They depend little on how many GPUs a group has.
    static let groupMinuteOfSeconds = 1569.0
    static let groupHourOfTenSeconds = 26_150.0
    static let groupHourOfMinutes = 5095.0
    static let groupHourOfQuarterHours = 795.0
    static let groupHourOfHours = 405.0
    /// Of sixty minutes, four quarter-hours and the hour.
    static let groupHourOfSketches = 107_600.0
    /// Pages over bodies in the table of rows, as SQLite's own `dbstat` has them.
    static let file = 1.2
  }
}

/// The course of the disk: parts that grow at their rates, until they are as old or as large as they may get.
struct DiskCourse: Sendable {
  /// One part; `rate` is bytes a day.
  struct Part: Sendable {
    let name: String
    let bytes: Double
    let rate: Double
    let keptDays: Double?

    /// Bytes it will have grown by after so many days, as far as its age allows.
    func growth(_ days: Double) -> Double {
      let cap = keptDays.map { rate * $0 } ?? .infinity
      return max(0, min(rate * days, cap - bytes))
    }
  }

  /// Parts that share a bound of bytes.
  struct Group: Sendable {
    let name: String
    let parts: [Part]
    let bytesMax: Double

    func growth(_ days: Double) -> Double {
      let room = max(0, bytesMax - parts.reduce(0) { $0 + $1.bytes })
      return min(room, parts.reduce(0) { $0 + $1.growth(days) })
    }

    /// Days until the bound is reached and the oldest goes before its time; `nil`: never.
    var daysUntilBound: Double? {
      let room = bytesMax - parts.reduce(0) { $0 + $1.bytes }
      guard room > 0 else { return 0 }
      return DiskCourse.days { days in parts.reduce(0) { $0 + $1.growth(days) } >= room }
    }

    /// Days of all parts together that fit into the bound.
    var daysHeld: Double? {
      let rate = parts.reduce(0) { $0 + $1.rate }
      return rate > 0 ? bytesMax / rate : nil
    }
  }

  let groups: [Group]

  /// Days until what grows has taken `free` bytes; `nil`: all of it fits.
  func daysUntilFull(free: Double) -> Double? {
    Self.days { days in groups.reduce(0) { $0 + $1.growth(days) } > free }
  }

  private static let daysMax = 36_500.0

  /// The first day on which something holds that goes on to hold; `nil`: not within a century.
  private static func days(_ holds: (Double) -> Bool) -> Double? {
    var (low, high) = (0.0, daysMax)
    guard holds(high) else { return nil }
    while high - low > 0.01 {
      let middle = (low + high) / 2
      if holds(middle) { high = middle } else { low = middle }
    }
    return high
  }
}

extension HistoryAnswers {
  /// One line at the start: what a day adds, and for how long the disk and the bounds last.
  func logForecast(to logger: Logger) throws {
    let report = try storageNow()
    let rates = report.parts.compactMap { part in
      (part.bytesPerDay ?? part.predictedBytesPerDay).map { "\(part.name) \(Self.gigabytes($0))" }
    }
    let bounds = (report.bounds ?? []).map { bound in
      "\(bound.name) \(Self.gigabytes(bound.bytesMax)) GB hold \(bound.daysHeld.map(Self.days) ?? "all")"
    }
    logger.info(
      "disk forecast",
      metadata: [
        "gpus": "\(report.predictedForGPUs ?? 0)", "gb_per_day": "\(rates.joined(separator: ", "))",
        "bounds": "\(bounds.joined(separator: ", "))",
        "free_gb": "\(report.freeBytes.map(Self.gigabytes) ?? "unknown")",
        "days_until_full": "\(report.daysUntilFull.map(Self.days) ?? "never")",
      ])
  }

  private static func gigabytes(_ bytes: Int64) -> String {
    let gigabytes = Double(bytes) / 1e9
    return String(format: gigabytes < 10 ? "%.3f" : "%.0f", gigabytes)
  }

  private static func days(_ days: Double) -> String { String(format: days < 10 ? "%.1f d" : "%.0f d", days) }
}
