import BongsuFleet
import BongsuModel

/// The limits of a fleet file as series, so that rules can compare with them: one family for each kind of limit and what
/// is derived from it. A place without a limit has no series, and so no alert.
public enum PowerThresholds {
  /// A family of constant series.
  public struct Family: Sendable {
    public let name: String
    public let help: String
    /// Labels without name, and the value in watts.
    public let series: [(labels: [(name: String, value: String)], value: Double)]
  }

  /// Alerts that were raised at a threshold end this many thousandths of the limit below it.
  public static let clearPermille = 50

  /// All families of a fleet.
  public static func families(_ plan: RollupPlan) -> [Family] {
    let tree = plan.tree
    return limits(plan, .meter, "bongsu_contract_power_watts", tree.meters.map(\.contract), hasLimit: false)
      + limits(plan, .hall, "bongsu_power_limit_watts", tree.halls.map(\.powerLimit), hasLimit: true)
      + limits(plan, .rack, "bongsu_power_limit_watts", tree.racks.map(\.powerLimit), hasLimit: true)
      + limits(plan, .allocation, "bongsu_power_budget_watts", tree.allocations.map(\.budget), hasLimit: true)
      + [
        ramps(plan, "10s", tree.factories.map(\.rampLimit10sMilliwatts)),
        ramps(plan, "60s", tree.factories.map(\.rampLimit60sMilliwatts)),
        // By rack and not by the name that a driver gives a GPU: that differs from the fleet file's.
        Family(
          name: "rack:bongsu_gpu_idle_watts:typical", help: "Power of an idle GPU of the rack's model.",
          series: tree.racks.enumerated().compactMap { group, rack in
            rack.nodes.first.map { node in
              (plan.labels(.rack, group), Double(tree.models[tree.nodes[node].model].idleWatts))
            }
          }),
      ]
  }

  private static func limits(
    _ plan: RollupPlan, _ level: RollupLevel, _ metric: String, _ limits: [PowerLimit?], hasLimit: Bool
  ) -> [Family] {
    let parts: [(operation: String, help: String, permille: (PowerLimit) -> Int)] = [
      ("limit", "Limit of the fleet file.", { _ in 1000 }),
      ("warn", "Power at which a warning is raised: warn_at of the limit.", { $0.warnPermille }),
      ("warn_clear", "Power below which the warning ends.", { $0.warnPermille - clearPermille }),
      ("critical", "Power at which a critical alert is raised: critical_at of the limit.", { $0.criticalPermille }),
      ("critical_clear", "Power below which the critical alert ends.", { $0.criticalPermille - clearPermille }),
    ]
    // Meters tell their limit beside their demand already.
    return parts.dropFirst(hasLimit ? 0 : 1).map { part in
      Family(
        name: "\(level.prefix):\(metric):\(part.operation)", help: part.help,
        series: limits.enumerated().compactMap { group, limit in
          limit.map { limit in
            (plan.labels(level, group), Double(limit.milliwatts) / 1000 * Double(max(0, part.permille(limit))) / 1000)
          }
        })
    }
  }

  private static func ramps(_ plan: RollupPlan, _ window: String, _ limits: [Int64?]) -> Family {
    Family(
      name: "factory:bongsu_power_change_limit_watts:\(window)",
      help: "Largest change of power within \(window) before an alert.",
      series: limits.enumerated().compactMap { group, limit in
        limit.map { (plan.labels(.factory, group), Double($0) / 1000) }
      })
  }
}
