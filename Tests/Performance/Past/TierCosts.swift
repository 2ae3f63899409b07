import BongsuFleet
import BongsuModel
import BongsuRollup
import BongsuStore
import Foundation

/// What stored rollups cost: forms the minutes of a simulated past from rows, as the aggregator does, in a new file.
///
/// One thread. Prints one line of `name value` for each figure; bytes are those of the rows' bodies by tier, and of the
/// whole file.
enum TierCosts {
  private static let start: Int64 = 1_790_000_000_000 / 3_600_000 * 3_600_000

  static func run(_ tree: FleetTree, nodes: Int, minutes: Int64, directory: String) throws {
    let past = PastRows(tree, nodes: nodes)
    let path = "\(directory)/tiers.sqlite"
    let store = try TierStore(path: path)
    let keeper = TierKeeper(store: store, plan: RollupPlan(tree)) { try past.visit($0, $1) }
    let ends = (1...minutes).map { Tick(unixMilliseconds: start + $0 * 60_000) }
    try store.note(shard: 0, through: 1, minutes: Set(ends.map(\.unixMilliseconds)), now: ends[0])
    let begin = Clock.cpuSeconds()
    // Minute after minute, as time goes: a turn without a minute to form packs some of an hour that is over.
    for end in ends {
      while try keeper.work(closedThrough: end, now: end) > 0 {}
    }
    let last = ends[ends.count - 1]
    var unpacked = Int64.max
    while case let left = try store.usage().other, left < unpacked {
      unpacked = left
      try keeper.work(closedThrough: last, now: last)
    }
    let forming = Clock.cpuSeconds() - begin - past.seconds
    try report(store, path, tree, past, minutes, forming)
  }

  private static func report(
    _ store: TierStore, _ path: String, _ tree: FleetTree, _ past: PastRows, _ minutes: Int64, _ forming: Double
  ) throws {
    let samples = Double(past.gpus * PastRows.metrics.count) * Double(minutes) * 60
    func say(_ name: String, _ value: Double) { print(name, (value * 100_000).rounded() / 100_000) }
    let usage = try store.usage()
    say("nodes", Double(past.nodes.count))
    say("gpus", Double(past.gpus))
    say("samples", samples)
    say("cpu_ms_per_minute", forming * 1000 / Double(minutes))
    say("cpu_ns_per_sample", forming * 1e9 / samples)
    for tier in Tier.allCases {
      say("bytes_per_sample_\(tier.rawValue)s", Double(usage.tiers[tier] ?? 0) / samples)
    }
    say("bytes_per_sample_sketches", Double(usage.sketches) / samples)
    say("bytes_per_sample_other", Double(usage.other) / samples)
    say("bytes_per_sample_file", Double(usage.file) / samples)
    say("file_bytes", Double(usage.file))
    let factory = tree.factories.indices.first { factory in past.nodes.contains { $0.factory == factory } } ?? 0
    let name = tree.factories[factory].id
    for tier in [Tier.minute, .quarterHour] {
      var times: [Double] = []
      var points = 0
      for _ in 0..<9 {
        let begin = Clock.seconds()
        points = try course(store, tier, factory: name)
        times.append(Clock.seconds() - begin)
      }
      say("points_\(tier.rawValue)s", Double(points))
      say("factory_power_ms_\(tier.rawValue)s", times.sorted()[4] * 1000)
    }
    var process = rusage()
    // SAFETY: the structure outlives the call that fills it.
    _ = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &process)
    say("peak_resident_mb", Double(process.ru_maxrss) / 1024)
  }

  /// Points of one factory's power over all that is stored.
  private static func course(_ store: TierStore, _ tier: Tier, factory: String) throws -> Int {
    guard let series = RollupSeries.all.first(where: { $0.metric == "bongsu_gpu_power_watts" && $0.operation == "sum" })
    else { return 0 }
    var points = 0
    try store.visit(
      TierQuestion(.rollup(.factory), tier, in: Limits.tickRange, [series]) { labels in
        labels.contains { $0.name == "factory" && $0.value == factory }
      }
    ) { _, course in
      points += course.values[0].count { !$0.isNaN }
      return true
    }
    return points
  }
}
