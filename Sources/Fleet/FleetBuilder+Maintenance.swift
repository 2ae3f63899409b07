import BongsuModel

extension FleetBuilder {
  /// Resolves what each maintenance window covers.
  mutating func scheduleMaintenance() {
    for entry in document.maintenance {
      var covered: Set<NodeIndex> = []
      for (text, position) in entry.nodes {
        covered.formUnion(claimedNodes(text, at: position, of: "a maintenance window"))
      }
      for (text, position) in entry.racks {
        for rack in places(text, at: position, kind: "rack", in: rackByPath) {
          covered.formUnion(racks[rack.position].nodes.map { NodeIndex($0) })
        }
      }
      for (text, position) in entry.halls {
        for hall in places(text, at: position, kind: "hall", in: hallByPath) {
          for rack in halls[hall.position].racks { covered.formUnion(racks[rack].nodes.map { NodeIndex($0) }) }
        }
      }
      maintenance.append(
        MaintenanceWindow(from: entry.from, until: entry.until, reason: entry.reason, nodes: covered.sorted()))
    }
    maintenance.sort { ($0.from, $0.until) < ($1.from, $1.until) }
  }

  private func places<Place>(
    _ text: String, at position: FilePosition, kind: String, in known: [String: FleetIndex<Place>]
  ) -> [FleetIndex<Place>] {
    var found: [FleetIndex<Place>] = []
    var unknown: String?
    do {
      try NamePattern(text).forEachName { path in
        if let place = known[path] { found.append(place) } else { unknown = unknown ?? path }
      }
    } catch {
      findings.error(position, "\(kind) pattern '\(text)': \(error)", remedy: error.remedy)
    }
    if let unknown {
      let form = kind == "rack" ? "FACTORY/HALL/RACK" : "FACTORY/HALL"
      let guess = EditDistance.nearest(to: unknown, in: known.keys)
      findings.error(
        position, "a maintenance window names \(kind) '\(unknown.prefix(120))', which is unknown",
        remedy: guess.map { "did you mean '\($0)'?" } ?? "write it as \(form)")
    }
    return found
  }
}
