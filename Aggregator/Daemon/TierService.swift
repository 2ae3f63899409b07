import BongsuIngest
import BongsuMetrics
import BongsuModel
import BongsuReports
import BongsuRollup
import BongsuStore
import CBongsuPlatform
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// Keeps the tiers of rollups up to date, on a thread of its own that yields to all others.
struct TierService: Service {
  let engine: IngestEngine
  let store: DataKeeper
  let keeper: TierKeeper
  let demand: DemandHistory
  let logger: Logger

  /// How often is looked for what is due.
  private static let intervalSeconds = 2.0

  func run() async throws {
    let isStopping = Flag()
    let service = self
    try await withTaskCancellationOrGracefulShutdownHandler {
      try await IngestService.onThread("tiers") {
        try service.loop(isStopping)
      }
    } onCancelOrGracefulShutdown: {
      isStopping.set()
    }
  }

  /// What of forming minutes has to be seen from outside.
  static func addMetrics(of keeper: TierKeeper, to registry: MetricRegistry) {
    registry.counter(
      "bongsu_rollup_minutes_formed_total", help: "Minutes of stored rollups formed, for the first time or anew",
      read: { UInt64(keeper.formedMinutes) })
    registry.counter(
      "bongsu_rollup_minutes_refused_total",
      help: "Minutes of stored rollups that late rows asked for after their raw rows or tiers had been removed",
      read: { UInt64(keeper.refusedMinutes) })
    registry.counter(
      "bongsu_rollup_minutes_not_restated_total",
      help: "Minutes of stored rollups that were to be formed anew and stay, since raw rows of them are lost",
      read: { UInt64(keeper.store.stayingMinutes) })
  }

  /// Names an hour whose minutes stay as they are.
  static func say(stays minute: Tick, _ losses: RawLosses, to logger: Logger) {
    logger.warning(
      """
      rollups of the hour of \(TimeText.rfc3339(unixMilliseconds: minute.unixMilliseconds)) stay as they were formed, \
      since raw rows of it are lost; late rows and restatements do not change them: \
      \(losses.damage.prefix(3).joined(separator: "; "))
      """)
  }

  private func loop(_ isStopping: Flag) throws {
    do { try demand.restorePeaks() } catch {
      logger.warning("peaks of demand from before the start are not known: \(error)")
    }
    var problem: String?
    while !isStopping.isSet {
      do {
        var isFormed = false
        while try !isStopping.isSet && step() { isFormed = true }
        // What forming a minute, and packing beside it, had of memory.
        if isFormed { _ = bongsu_release_free_memory() }
        if problem != nil { logger.notice("rollup tiers are written again") }
        problem = nil
      } catch StoreError.notOpen {
        // Starting, or stopping.
      } catch StoreError.damaged(let path, let message) {
        // Found while running. A start makes the file anew of its sound rows and takes a few seconds.
        throw StartFailure("'\(path)' is damaged: \(message); a restart mends it from its sound rows and raw history")
      } catch {
        if problem == nil { logger.warning("rollup tiers cannot be written and will catch up later: \(error)") }
        problem = "\(error)"
      }
      Thread.sleep(forTimeInterval: Self.intervalSeconds)
    }
  }

  /// Does a little of what is due; whether there is more.
  private func step() throws -> Bool {
    // Rows of a closed tick were received before it was closed, and are on disk and noted by now.
    let closed = engine.newest?.closed.tick
    guard try engine.readingJournals({ try store.follow(through: $0) }) != nil else { return false }
    let settled = closed.map { Tick(unixMilliseconds: $0.unixMilliseconds - 2000) }
    let now = Tick(unixMilliseconds: Int64(Date().timeIntervalSince1970 * 1000))
    return try keeper.work(closedThrough: settled, now: now, minutesMax: 1) > 0
  }
}

/// A switch that is thrown once.
private final class Flag: Sendable {
  private let state = Atomic(false)
  // Relaxed: nothing else is published through it.
  var isSet: Bool { state.load(ordering: .relaxed) }
  func set() { state.store(true, ordering: .relaxed) }
}
