import BongsuModel

/// Finds out once where a Redfish service has readings, and then asks only there.
///
/// The machine's power is that of one chassis: its EnvironmentMetrics, else the inputs of its PowerSubsystem's supplies,
/// else the older Power resource. Where several chassis that stand for themselves give a power, one has to be named: a
/// guess would count parts twice.
struct RedfishWalk {
  typealias Fetch = (String) async throws -> RedfishReading.Resource

  /// How the machine's power is read.
  enum PowerPath: Hashable, Sendable {
    case environment(String)
    /// Addresses of the supplies' metrics.
    case supplies([String])
    case power(String)
  }

  struct GPU: Hashable, Sendable {
    let key: String
    let index: UInt16
    let model: String
    let environment: String
  }

  /// Where the readings are.
  struct Plan: Hashable, Sendable {
    var chassis: String?
    var power: PowerPath?
    var gpus: [GPU] = []
  }

  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// Members of a collection that are looked at.
  static let membersMax = 256

  /// Looks for the machine's power and, if `wantsGPUs`, for the power of its GPUs.
  static func plan(chassis wanted: String?, wantsGPUs: Bool, _ fetch: Fetch) async throws -> Plan {
    let root = try await fetch("/redfish/v1/")
    var plan = Plan()
    try await findPower(wanted, root, &plan, fetch)
    if wantsGPUs { plan.gpus = try await findGPUs(root, fetch) }
    guard plan.power != nil || !plan.gpus.isEmpty else {
      throw Failure(description: "no chassis gives a power; look below /redfish/v1/Chassis and name one with chassis:")
    }
    return plan
  }

  private static func findPower(
    _ wanted: String?, _ root: RedfishReading.Resource, _ plan: inout Plan, _ fetch: Fetch
  ) async throws {
    guard let collection = RedfishReading.link(root["Chassis"]) else { return }
    var candidates: [(id: String, path: PowerPath)] = []
    let members = RedfishReading.members(try await fetch(collection)).prefix(membersMax)
    for member in members {
      let chassis = try await fetch(member)
      let id = chassis["Id"]?.string ?? member
      guard wanted.map({ $0 == id }) ?? RedfishReading.isTop(chassis: chassis) else { continue }
      if let path = try await powerPath(chassis, fetch) { candidates.append((id, path)) }
    }
    if let wanted, candidates.isEmpty {
      throw Failure(description: "chassis '\(wanted)' is not there or gives no power")
    }
    guard candidates.count <= 1 else {
      let names = candidates.map(\.id).joined(separator: ", ")
      throw Failure(description: "several chassis give a power (\(names)); name one with chassis:")
    }
    plan.chassis = candidates.first?.id
    plan.power = candidates.first?.path
  }

  private static func powerPath(_ chassis: RedfishReading.Resource, _ fetch: Fetch) async throws -> PowerPath? {
    if let link = RedfishReading.link(chassis["EnvironmentMetrics"]), let metrics = try await optional(link, fetch),
      RedfishReading.milliwatts(environment: metrics) != nil
    {
      return .environment(link)
    }
    if let link = RedfishReading.link(chassis["PowerSubsystem"]), let subsystem = try await optional(link, fetch),
      let supplies = RedfishReading.link(subsystem["PowerSupplies"]), let all = try await optional(supplies, fetch)
    {
      var metrics: [String] = []
      for member in RedfishReading.members(all).prefix(membersMax) {
        let supply = try await fetch(member)
        if RedfishReading.isAbsent(supply) { continue }
        if let link = RedfishReading.link(supply["Metrics"]) { metrics.append(link) }
      }
      if !metrics.isEmpty { return .supplies(metrics) }
    }
    if let link = RedfishReading.link(chassis["Power"]), let power = try await optional(link, fetch),
      RedfishReading.milliwatts(power: power) != nil
    {
      return .power(link)
    }
    return nil
  }

  private static func findGPUs(_ root: RedfishReading.Resource, _ fetch: Fetch) async throws -> [GPU] {
    guard let systems = RedfishReading.link(root["Systems"]) else { return [] }
    var gpus: [GPU] = []
    for system in RedfishReading.members(try await fetch(systems)).prefix(membersMax) {
      guard let link = RedfishReading.link(try await fetch(system)["Processors"]),
        let processors = try await optional(link, fetch)
      else { continue }
      for member in RedfishReading.members(processors).prefix(membersMax) {
        let processor = try await fetch(member)
        guard processor["ProcessorType"]?.string == "GPU",
          let environment = RedfishReading.link(processor["EnvironmentMetrics"])
        else { continue }
        let id = processor["Id"]?.string ?? member
        let uuid = (processor["UUID"]?.string ?? "").lowercased()
        gpus.append(
          GPU(
            key: uuid.isEmpty ? "REDFISH-\(id)" : "GPU-\(uuid)", index: UInt16(clamping: gpus.count),
            model: processor["Model"]?.string ?? "", environment: environment))
      }
    }
    return gpus
  }

  /// What the places of `plan` say now. What one of them does not say is not there.
  static func read(_ plan: Plan, _ fetch: Fetch) async throws -> FacilityReading {
    var reading = FacilityReading()
    switch plan.power {
    case .environment(let link):
      reading.node[.nodePower] = RedfishReading.milliwatts(environment: try await fetch(link))
    case .supplies(let links):
      var parts: [Int64?] = []
      for link in links { parts.append(RedfishReading.inputMilliwatts(supplyMetrics: try await fetch(link))) }
      reading.node[.nodePower] = RedfishReading.sum(parts)
    case .power(let link): reading.node[.nodePower] = RedfishReading.milliwatts(power: try await fetch(link))
    case nil: break
    }
    for gpu in plan.gpus {
      guard let metrics = try await optional(gpu.environment, fetch) else { continue }
      let values: [(MetricID, Int64?)] = [
        (.gpuPower, RedfishReading.milliwatts(environment: metrics)),
        (.gpuPowerLimit, RedfishReading.limitMilliwatts(environment: metrics)),
        (.gpuEnergy, RedfishReading.millijoules(environment: metrics)),
        (.gpuTemperature, RedfishReading.decicelsius(environment: metrics)),
      ]
      for case (let metric, let value?) in values {
        reading.set(metric, value, gpu: gpu.key, index: gpu.index, model: gpu.model)
      }
    }
    return reading
  }

  /// A resource that may be missing; other failures are the service's.
  private static func optional(_ path: String, _ fetch: Fetch) async throws -> RedfishReading.Resource? {
    do {
      return try await fetch(path)
    } catch let error as EndpointFailure where error.isMissing {
      return nil
    }
  }
}
