import BongsuAlerts
import BongsuFleet
import BongsuIngest
import BongsuModel
import BongsuRollup
import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

/// Alarms as a service of the aggregator: feeds closed ticks to the rules, runs receivers, reloads on SIGHUP.
struct AlertService: Service {
  let runner: AlertRunner
  let feed: AlertFeed
  let engine: IngestEngine
  let tree: FleetTree
  let logger: Logger

  func run() async throws {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await cancelWhenGracefulShutdown { await self.follow() } }
      group.addTask { await cancelWhenGracefulShutdown { await self.watchClocks() } }
      group.addTask { await cancelWhenGracefulShutdown { await self.reloadOnSignal() } }
      group.addTask {
        await cancelWhenGracefulShutdown {
          do { try await runner.run() } catch { logger.critical("alarms ended: \(error)") }
        }
      }
      await group.waitForAll()
    }
  }

  private func follow() async {
    for await snapshot in engine.closedTicks() {
      feed.take(snapshot.closed)
      runner.tickClosed(snapshot.closed.tick.unixMilliseconds)
    }
  }

  private func reloadOnSignal() async {
    for await _ in await UnixSignalsSequence(trapping: .sighup) { _ = await runner.reload() }
  }

  /// Asks the shards every few seconds how the clocks of their nodes are.
  private func watchClocks() async {
    let tree = tree
    while !Task.isCancelled {
      try? await Task.sleep(for: .seconds(10))
      let newest = engine.newest?.closed.tick
      let found = await engine.ask { shard in
        var counts = Array(repeating: (nodes: 0, skewed: 0, stale: 0), count: tree.factories.count)
        shard.forEachNode { node in
          guard node.isConnected else { return }
          let factory = NodePlace(node.id, tree, at: node.tick)?.factory.position ?? tree.factories.count - 1
          counts[factory].nodes += 1
          counts[factory].skewed += abs(node.skewMilliseconds) > 2000 ? 1 : 0
          counts[factory].stale += node.tick != nil && !node.isCurrent(newest) ? 1 : 0
        }
        return counts
      }
      var total = Array(repeating: (nodes: 0, skewed: 0, stale: 0), count: tree.factories.count)
      for counts in found {
        for factory in total.indices {
          total[factory].nodes += counts[factory].nodes
          total[factory].skewed += counts[factory].skewed
          total[factory].stale += counts[factory].stale
        }
      }
      if !found.isEmpty { feed.note(total) }
    }
  }
}
