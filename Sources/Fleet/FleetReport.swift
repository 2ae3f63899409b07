public import BongsuModel

/// What `bongsu fleet check` and `bongsu fleet show` print, as text and exit code; the caller only writes it out.
public struct FleetReport: Hashable, Sendable {
  /// Lines for people or one JSON document, with a closing newline.
  public let text: String
  /// 0 when the file can be used, else 1.
  public let exitCode: Int32

  /// How a report is written.
  public enum Format: String, Sendable, CaseIterable {
    case text
    case json
  }

  /// The findings of `file`, one per line as `FILE:LINE:COLUMN: error: …; …`, and a closing line.
  public static func check(_ file: FleetFile, format: Format = .text) -> FleetReport {
    let exitCode: Int32 = file.tree == nil ? 1 : 0
    switch format {
    case .json: return FleetReport(text: checkJSON(file).text + "\n", exitCode: exitCode)
    case .text:
      var lines = file.findings.map(\.description)
      let errors = file.findings.count { $0.severity == .error }
      let warnings = file.findings.count - errors
      if let tree = file.tree {
        let gpus = tree.nodes.reduce(0) { $0 + $1.gpus }
        lines.append(
          "\(file.path): ok, \(gpus) GPUs in \(tree.nodes.count) nodes"
            + (warnings > 0 ? ", \(counted(warnings, "warning"))" : ""))
      } else {
        lines.append(
          "\(file.path): refused, \(counted(errors, "error"))"
            + (warnings > 0 ? " and \(counted(warnings, "warning"))" : ""))
      }
      return FleetReport(text: lines.joined(separator: "\n") + "\n", exitCode: exitCode)
    }
  }

  /// The tree of `file` as of `now`: sites and allocations with counts and planned power; its findings when it is refused.
  public static func show(_ file: FleetFile, now: Tick, format: Format = .text) -> FleetReport {
    guard let tree = file.tree else { return check(file, format: format) }
    let summary = FleetSummary(tree, at: now)
    let text = format == .json ? showJSON(tree, summary).text + "\n" : showText(tree, summary)
    return FleetReport(text: text, exitCode: 0)
  }

  private static func checkJSON(_ file: FleetFile) -> JSONText {
    .object([
      ("file", .string(file.path)),
      ("usable", .boolean(file.tree != nil)),
      (
        "findings",
        .array(
          file.findings.map { finding in
            .object([
              ("severity", .string(finding.severity.rawValue)), ("line", .integer(finding.line)),
              ("column", .integer(finding.column)), ("message", .string(finding.message)),
              ("remedy", .string(finding.remedy)),
            ])
          })
      ),
    ])
  }

  private static func showText(_ tree: FleetTree, _ summary: FleetSummary) -> String {
    var table = TextTable(header: ["", "GPUs", "in service", "nodes", "racks", "model", "IT", "facility", "contract"])
    func row(_ name: String, _ count: FleetSummary.Count, racks: Int, contract: Int64?) {
      table.add([
        name, "\(count.gpus)", "\(count.expectedGPUs)", "\(count.nodes)", "\(racks)",
        count.models.sorted().map { tree.models[$0].key }.joined(separator: "+"),
        Quantities.text(milliwatts: count.itMilliwatts), Quantities.text(milliwatts: count.facilityMilliwatts),
        contract.map { Quantities.text(milliwatts: $0) } ?? "-",
      ])
    }
    let sites = tree.factories.indices.dropLast()
    row("\(tree.nation) (\(tree.name))", summary.nation, racks: tree.racks.count - 1, contract: nil)
    for index in sites {
      let factory = tree.factories[index]
      let contract = tree.meters.filter { $0.factory.position == index }.compactMap { $0.contract?.milliwatts }
      let racks = factory.halls.reduce(0) { $0 + tree.halls[$1].racks.count }
      row(
        "  \(factory.id)", summary.factories[index], racks: racks,
        contract: contract.isEmpty ? nil : contract.reduce(0, +))
      for hall in factory.halls {
        let entry = tree.halls[hall]
        let state = entry.service == .planned ? " (planned)" : ""
        row(
          "    \(entry.id)\(state)", summary.halls[hall], racks: entry.racks.count,
          contract: entry.powerLimit?.milliwatts)
      }
    }
    var shares = TextTable(header: ["allocation", "granted", "in racks", "in service", "IT", "name"])
    for index in inTreeOrder(tree) {
      let allocation = tree[index]
      let count = summary.allocations[index.position]
      let isUnassigned = index == tree.unassignedAllocation
      guard !isUnassigned || count.gpus > 0 else { continue }
      let indent = String(repeating: "  ", count: allocation.depth)
      shares.add([
        indent + allocation.path, allocation.grantedGPUs.map(String.init) ?? "-", "\(count.gpus)",
        "\(count.expectedGPUs)", Quantities.text(milliwatts: count.itMilliwatts),
        allocation.name + (allocation.isInPlan || isUnassigned ? "" : " (outside the plan)"),
      ])
    }
    let granted = tree.allocations.filter { $0.depth == 1 && $0.isInPlan }.compactMap(\.grantedGPUs).reduce(0, +)
    let plan = tree.planGPUs.map { " of \($0) planned" } ?? ""
    let demonstration = tree.isDemonstration ? "planned halls are switched on for a demonstration\n" : ""
    return """
      \(table.text)
      \(shares.text)
      granted \(granted) GPUs\(plan); power is the planning figure of busy GPUs, not a reading
      \(demonstration)
      """
  }

  /// Depth first, so that what lies in an allocation follows it.
  private static func inTreeOrder(_ tree: FleetTree) -> [AllocationIndex] {
    var children: [AllocationIndex?: [AllocationIndex]] = [:]
    for index in tree.allocations.indices {
      children[tree.allocations[index].parent, default: []].append(AllocationIndex(index))
    }
    func descend(_ parent: AllocationIndex?) -> [AllocationIndex] {
      (children[parent] ?? []).flatMap { [$0] + descend($0) }
    }
    return descend(nil)
  }

  private static func showJSON(_ tree: FleetTree, _ summary: FleetSummary) -> JSONText {
    func members(_ count: FleetSummary.Count) -> [(String, JSONText)] {
      [
        ("gpus", .integer(count.gpus)), ("expected_gpus", .integer(count.expectedGPUs)),
        ("nodes", .integer(count.nodes)),
        ("models", .array(count.models.sorted().map { .string(tree.models[$0].key) })),
        ("it_milliwatts_typical", .integer(Int(count.itMilliwatts))),
        ("facility_milliwatts_typical", .integer(Int(count.facilityMilliwatts))),
      ]
    }
    let factories = tree.factories.indices.dropLast().map { index in
      let factory = tree.factories[index]
      let halls = factory.halls.map { hall in
        JSONText.object(
          [
            ("hall", .string(tree.halls[hall].id)), ("racks", .integer(tree.halls[hall].racks.count)),
            ("planned", .boolean(tree.halls[hall].service == .planned)),
          ] + members(summary.halls[hall]))
      }
      return JSONText.object(
        [("factory", .string(factory.id)), ("name", .string(factory.name))] + members(summary.factories[index])
          + [("halls", .array(halls))])
    }
    let allocations = inTreeOrder(tree).map { index in
      JSONText.object(
        [
          ("allocation", .string(tree[index].path)), ("name", .string(tree[index].name)),
          ("depth", .integer(tree[index].depth)),
          ("granted_gpus", tree[index].grantedGPUs.map { .integer($0) } ?? .null),
          ("in_plan", .boolean(tree[index].isInPlan)),
        ] + members(summary.allocations[index.position]))
    }
    return .object(
      [("nation", .string(tree.nation)), ("plan_gpus", tree.planGPUs.map { .integer($0) } ?? .null)]
        + members(summary.nation) + [("factories", .array(factories)), ("allocations", .array(allocations))])
  }

  private static func counted(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
  }
}
