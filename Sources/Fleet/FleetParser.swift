import BongsuModel
import Yams

/// Reads the YAML of a fleet file into a ``FleetDocument``.
struct FleetParser {
  let findings: FindingCollector
  var timeZone = TimeZoneOffset.utc

  init(findings: FindingCollector) {
    self.findings = findings
  }

  /// The document, `nil` when the text is no YAML or no mapping; everything else leaves findings and goes on.
  mutating func parse(_ text: String) -> FleetDocument? {
    guard let root = compose(text) else { return nil }
    var valuesLeft = Limits.valuesMax
    guard root.fits(depth: Limits.nestingMax, values: &valuesLeft) else {
      findings.error(
        root.filePosition,
        "collections are nested deeper than \(Limits.nestingMax) levels, or aliases make more than \(Limits.valuesMax) values",
        remedy: "flatten the file")
      return nil
    }
    guard var section = YAMLSection(root, subject: "the fleet file", findings: findings) else { return nil }
    var document = FleetDocument()
    if let version = section.integer("version", in: 0...Int.max, isRequired: true), version != 1 {
      section.complain(
        "version", "is \(version), this build reads version 1", remedy: "use 'version: 1' or a newer release")
    }
    document.nation = identifier("nation", of: &section) ?? ""
    document.name = displayName(of: &section) ?? document.nation
    if let zone = section.text("time_zone", isRequired: true) {
      if let offset = TimeZoneOffset(zone) {
        timeZone = offset
      } else {
        let names = TimeZoneOffset.named.map(\.name).joined(separator: ", ")
        section.complain(
          "time_zone", "is '\(zone)', which is neither an offset nor a zone without daylight saving",
          remedy: "write an offset such as '+09:00', or one of \(names)")
      }
    }
    document.timeZone = timeZone
    document.planGPUs = section.integer("plan_gpus", in: 0...100_000_000)
    document.models = bounded(section.list("gpu_models"), Limits.modelsMax, "gpu_models", section)
      .compactMap { model($0) }
    document.factories = bounded(
      section.list("factories", isRequired: true), Limits.factoriesMax, "factories", section
    ).compactMap { factory($0) }
    document.allocations = bounded(section.list("allocations"), Limits.allocationsMax, "allocations", section)
      .compactMap { allocation($0) }
    document.maintenance = bounded(section.list("maintenance"), Limits.maintenanceWindowsMax, "maintenance", section)
      .compactMap { maintenance($0) }
    document.carbonFactors = bounded(
      section.list("carbon_factors"), Limits.carbonFactorsMax, "carbon_factors", section
    ).compactMap { carbonFactor($0) }
    section.finish()
    return document
  }

  private func compose(_ text: String) -> Yams.Node? {
    guard text.utf8.count <= Limits.fileBytesMax else {
      findings.error(
        .wholeFile, "file has \(text.utf8.count) bytes, limit \(Limits.fileBytesMax)",
        remedy: "use patterns instead of listing nodes")
      return nil
    }
    do {
      guard let root = try Yams.Parser(yaml: text, encoding: .utf8).singleRoot() else {
        findings.error(.wholeFile, "file is empty", remedy: "start from ops/fleets/single-node.yaml")
        return nil
      }
      return root
    } catch let error as YamlError {
      let (position, problem) = error.placeAndProblem
      findings.error(position, "malformed YAML: \(problem)", remedy: "mend indentation, quotes and brackets there")
    } catch {
      findings.error(.wholeFile, "malformed YAML: \(error)", remedy: "mend the file")
    }
    return nil
  }

  private func bounded(_ nodes: [Yams.Node], _ limit: Int, _ key: String, _ section: YAMLSection) -> [Yams.Node] {
    if nodes.count > limit {
      section.complain(key, "has \(nodes.count) entries, limit \(limit)", remedy: "split the fleet over aggregators")
    }
    return Array(nodes.prefix(limit))
  }

  // MARK: - Entries

  private func model(_ node: Yams.Node) -> (model: GPUModel, position: FilePosition)? {
    guard var section = YAMLSection(node, subject: "a GPU model", findings: findings) else { return nil }
    let id = identifier("id", of: &section)
    let gpusPerNode = section.integer("gpus_per_node", in: 1...Limits.gpusPerNodeMax, isRequired: true)
    let limit = section.milliwatts("power_limit", isRequired: true)
    let idle = section.milliwatts("idle_power", isRequired: true)
    let typical = section.milliwatts("typical_power", isRequired: true)
    let share = section.permille("non_gpu_share", in: 0...900)
    let memory = section.integer("memory_mib", in: 0...1 << 30) ?? 0
    let smClock = section.integer("sm_clock_mhz", in: 0...100_000) ?? 0
    let memoryClock = section.integer("memory_clock_mhz", in: 0...100_000) ?? 0
    if let limit, let idle, let typical, !(idle <= typical && typical <= limit) {
      section.complain(
        "typical_power", "is not between idle_power and power_limit", remedy: "order them idle ≤ typical ≤ limit")
    }
    if let limit, limit > Limits.gpuMilliwattsMax {
      section.complain(
        "power_limit",
        "is \(Quantities.text(milliwatts: limit)), expected at most "
          + Quantities.text(milliwatts: Limits.gpuMilliwattsMax), remedy: "write the limit of one GPU")
    }
    section.finish()
    guard let id, let gpusPerNode, let limit, let idle, let typical else { return nil }
    let model = GPUModel(
      key: id, gpusPerNode: gpusPerNode, powerLimitWatts: Int(limit / 1000), idleWatts: Int(idle / 1000),
      typicalWatts: Int(typical / 1000), nonGPUSharePermille: share ?? 0, memoryMebibytes: memory,
      smClockMegahertz: smClock, memoryClockMegahertz: memoryClock)
    return (model, section.position)
  }

  private func factory(_ node: Yams.Node) -> FleetDocument.FactoryEntry? {
    let subject = Self.subject("factory", node)
    guard var section = YAMLSection(node, subject: subject, findings: findings) else { return nil }
    var entry = FleetDocument.FactoryEntry(position: section.position)
    entry.id = identifier("id", of: &section) ?? ""
    entry.name = displayName(of: &section) ?? entry.id
    entry.operatorName = section.text("operator") ?? ""
    entry.location = section.text("location") ?? ""
    entry.puePermille = section.permille("pue", in: 1000...5000)
    entry.rampLimit10sMilliwatts = section.milliwatts("ramp_limit_10s")
    entry.rampLimit60sMilliwatts = section.milliwatts("ramp_limit_60s")
    let defaults = nodeDefaults(of: &section, inheriting: FleetDocument.NodeDefaults())
    let halls = section.list("halls", isRequired: true)
    entry.halls = bounded(halls, Limits.hallsMax, "halls", section).compactMap { hall($0, defaults) }
    entry.meters = bounded(section.list("meters"), Limits.metersMax, "meters", section).compactMap { meter($0) }
    section.finish()
    return entry.id.isEmpty ? nil : entry
  }

  private func hall(_ node: Yams.Node, _ inherited: FleetDocument.NodeDefaults) -> FleetDocument.HallEntry? {
    let subject = Self.subject("hall", node)
    guard var section = YAMLSection(node, subject: subject, findings: findings) else { return nil }
    var entry = FleetDocument.HallEntry(position: section.position)
    entry.id = identifier("id", of: &section) ?? ""
    entry.name = displayName(of: &section) ?? entry.id
    let isPlanned = section.boolean("planned")
    let since = instant("in_service", of: &section)
    if let since, isPlanned != true {
      entry.service = .inService(since: since)
    } else if section.has("in_service") && isPlanned == true {
      section.complain("in_service", "contradicts 'planned: true'", remedy: "keep one of the two")
    } else if !section.has("in_service") && isPlanned != true {
      findings.error(
        section.position, "\(subject) says neither 'planned: true' nor since when it is in service",
        remedy: "add 'planned: true' or 'in_service: 2026-04-01'")
    }
    entry.powerLimit = powerLimit("power_limit", of: &section, warnPermille: 800, criticalPermille: 900)
    let defaults = nodeDefaults(of: &section, inheriting: inherited)
    let racks = section.list("racks", isRequired: true)
    entry.racks = bounded(racks, Limits.racksMax, "racks", section).compactMap { rack($0, defaults) }
    section.finish()
    return entry.id.isEmpty ? nil : entry
  }

  private func rack(_ node: Yams.Node, _ inherited: FleetDocument.NodeDefaults) -> FleetDocument.RackEntry? {
    let subject = Self.subject("rack", node)
    guard var section = YAMLSection(node, subject: subject, findings: findings) else { return nil }
    let ids = pattern("id", of: &section)
    let nodes = section.text("nodes", isRequired: true)
    let nodesPosition = section.position(of: "nodes")
    let defaults = nodeDefaults(of: &section, inheriting: inherited)
    let limit = powerLimit("power_limit", of: &section, warnPermille: 800, criticalPermille: 900)
    section.finish()
    guard let ids, let nodes else { return nil }
    return FleetDocument.RackEntry(
      position: section.position, ids: ids, nodes: (nodes, nodesPosition), defaults: defaults, powerLimit: limit)
  }

  private func meter(_ node: Yams.Node) -> FleetDocument.MeterEntry? {
    let subject = Self.subject("meter", node)
    guard var section = YAMLSection(node, subject: subject, findings: findings) else { return nil }
    var entry = FleetDocument.MeterEntry(position: section.position)
    entry.id = identifier("id", of: &section) ?? ""
    entry.name = displayName(of: &section) ?? entry.id
    entry.halls = section.texts("halls")
    entry.contract = powerLimit("contract_power", of: &section, warnPermille: 900, criticalPermille: 970)
    entry.puePermille = section.permille("pue", in: 1000...5000)
    if let source = section.text("source_node") {
      if let id = NodeID(source) {
        entry.source = (id, section.position(of: "source_node"))
      } else {
        section.complain("source_node", "is '\(source)', not a node name", remedy: Self.identifierRule)
      }
    }
    entry.clockOffsetSeconds = section.integer("clock_offset_seconds", in: -899...899) ?? 0
    // High-voltage base charges of the Korean tariff follow the peaks of these months.
    entry.ratchetMonths =
      section.has("ratchet_months") ? integers("ratchet_months", in: 1...12, of: &section) : [1, 2, 7, 8, 9, 12]
    section.finish()
    return entry.id.isEmpty ? nil : entry
  }

  private func allocation(_ node: Yams.Node) -> FleetDocument.AllocationEntry? {
    let subject = Self.subject("allocation", node, key: "path")
    guard var section = YAMLSection(node, subject: subject, findings: findings) else { return nil }
    var entry = FleetDocument.AllocationEntry(position: section.position)
    entry.path = section.text("path", isRequired: true) ?? ""
    let levels = entry.path.split(separator: "/", omittingEmptySubsequences: false)
    let isWellFormed = levels.allSatisfy { NodeID(String($0)) != nil } && levels.count <= Limits.allocationDepthMax
    if !entry.path.isEmpty && (!isWellFormed || entry.path == FleetTree.unassignedID) {
      section.complain(
        "path", "is '\(entry.path)', expected 1 to \(Limits.allocationDepthMax) names joined by '/'",
        remedy: "\(Self.identifierRule); '\(FleetTree.unassignedID)' is taken")
      entry.path = ""
    }
    entry.name = displayName(of: &section) ?? entry.path
    entry.grantedGPUs = section.integer("granted_gpus", in: 0...100_000_000)
    entry.isOutsidePlan = section.boolean("outside_plan") ?? false
    entry.budget = powerLimit("power_budget", of: &section, warnPermille: 950, criticalPermille: 1000)
    entry.members = section.list("members").compactMap { member($0, of: subject) }
    section.finish()
    return entry.path.isEmpty ? nil : entry
  }

  private func member(_ node: Yams.Node, of subject: String) -> FleetDocument.MemberEntry? {
    guard var section = YAMLSection(node, subject: "a member of \(subject)", findings: findings) else { return nil }
    let patterns = section.texts("nodes", isRequired: true)
    let span = span(of: &section)
    section.finish()
    guard let span else { return nil }
    return FleetDocument.MemberEntry(patterns: patterns, from: span.from, until: span.until)
  }

  private func maintenance(_ node: Yams.Node) -> FleetDocument.MaintenanceEntry? {
    guard var section = YAMLSection(node, subject: "a maintenance window", findings: findings) else { return nil }
    let span = span(of: &section, isRequired: true)
    let reason = section.text("reason") ?? ""
    let nodes = section.texts("nodes")
    let racks = section.texts("racks")
    let halls = section.texts("halls")
    if nodes.isEmpty && racks.isEmpty && halls.isEmpty {
      findings.error(
        section.position, "a maintenance window names no nodes, racks or halls",
        remedy: "add 'halls: FACTORY/HALL', 'racks: FACTORY/HALL/RACK' or 'nodes: NAMES'")
    }
    section.finish()
    guard let span else { return nil }
    return FleetDocument.MaintenanceEntry(
      position: section.position, from: span.from, until: span.until, reason: reason, nodes: nodes, racks: racks,
      halls: halls)
  }

  private func carbonFactor(_ node: Yams.Node) -> (factor: CarbonFactor, position: FilePosition)? {
    guard var section = YAMLSection(node, subject: "a carbon factor", findings: findings) else { return nil }
    let from = instant("from", of: &section, isRequired: true)
    var milligrams: Int64?
    if let text = section.text("grams_per_kwh", isRequired: true) {
      milligrams = Quantities.scaled(text, decimals: 3)
      if milligrams == nil || milligrams! > 5_000_000 {
        section.complain(
          "grams_per_kwh", "is '\(text)', expected a number from 0 to 5000 with at most three decimals",
          remedy: "write grams of CO2 per kilowatt-hour, such as 417.3")
        milligrams = nil
      }
    }
    section.finish()
    guard let from, let milligrams else { return nil }
    return (CarbonFactor(from: from, milligramsPerKilowattHour: Int(milligrams)), section.position)
  }
}
