import BongsuModel

extension FleetBuilder {
  /// Lays out factories, halls, racks and nodes in file order.
  mutating func placeFactories() {
    var lineOfFactory: [String: Int] = [:]
    for entry in document.factories {
      if let line = lineOfFactory[entry.id] {
        findings.error(
          entry.position, "factory '\(entry.id)' is defined again, first on line \(line)",
          remedy: "give each factory its own id")
        continue
      }
      lineOfFactory[entry.id] = entry.position.line
      let firstHall = halls.count
      var lineOfHall: [String: Int] = [:]
      for hall in entry.halls {
        if let line = lineOfHall[hall.id] {
          findings.error(
            hall.position, "hall '\(hall.id)' of factory '\(entry.id)' is defined again, first on line \(line)",
            remedy: "give each hall of a factory its own id")
          continue
        }
        lineOfHall[hall.id] = hall.position.line
        place(hall, of: entry)
      }
      factories.append(
        Factory(
          id: entry.id, name: entry.name, operatorName: entry.operatorName, location: entry.location,
          halls: firstHall..<halls.count, puePermille: entry.puePermille ?? 1000,
          rampLimit10sMilliwatts: entry.rampLimit10sMilliwatts, rampLimit60sMilliwatts: entry.rampLimit60sMilliwatts))
    }
    check(halls.count, Limits.hallsMax, "halls")
  }

  private mutating func place(_ entry: FleetDocument.HallEntry, of factory: FleetDocument.FactoryEntry) {
    let index = HallIndex(halls.count)
    let firstRack = racks.count
    let path = "\(factory.id)/\(entry.id)"
    var lineOfRack: [String: Int] = [:]
    for rack in entry.racks {
      place(rack, hall: entry.id, hallIndex: index, factory: factory.id, path: path, lineOfRack: &lineOfRack)
    }
    let service = options.demoInService ? .inService(since: .distantPast) : entry.service
    hallByPath[path] = index
    halls.append(
      Hall(
        id: entry.id, name: entry.name, factory: FactoryIndex(factories.count), racks: firstRack..<racks.count,
        service: service, powerLimit: entry.powerLimit, meter: nil))
  }

  private mutating func place(
    _ entry: FleetDocument.RackEntry, hall: String, hallIndex: HallIndex, factory: String, path: String,
    lineOfRack: inout [String: Int]
  ) {
    // Racks of an unknown model are placed all the same, or every pattern that names their nodes would be a finding.
    let model = model(of: entry) ?? 0
    let gpus = entry.defaults.gpusPerNode ?? models[model].gpusPerNode
    // A hall may not be read further than the whole nation allows, or a small file could fill the memory.
    guard racks.count + entry.ids.count <= Limits.racksMax else {
      return check(racks.count + entry.ids.count, Limits.racksMax, "racks", at: entry.position)
    }
    let template = entry.nodes.text
      .replacing("{factory}", with: factory).replacing("{hall}", with: hall)
    if entry.ids.count > 1 && !template.contains("{rack}") {
      findings.error(
        entry.nodes.position, "node pattern '\(entry.nodes.text)' is the same for all \(entry.ids.count) racks",
        remedy: "put '{rack}' into it, so that each rack has nodes of its own")
      return
    }
    for rackID in entry.ids.names {
      if let line = lineOfRack[rackID] {
        findings.error(
          entry.position, "rack '\(rackID)' of hall '\(path)' is defined again, first on line \(line)",
          remedy: "give each rack of a hall its own id")
        continue
      }
      lineOfRack[rackID] = entry.position.line
      guard NodeID(rackID) != nil else {
        findings.error(
          entry.position, "rack id '\(rackID)' cannot be a label",
          remedy: "use 1 to \(Limits.identifierBytesMax) letters, digits, '.', '_' and '-'")
        continue
      }
      rackByPath["\(path)/\(rackID)"] = RackIndex(racks.count)
      let firstNode = nodes.count
      do {
        try placeNodes(template.replacing("{rack}", with: rackID), in: entry, model: model, gpus: gpus)
      } catch {
        findings.error(
          entry.nodes.position, "node pattern '\(entry.nodes.text)': \(error)", remedy: error.remedy)
        return
      }
      racks.append(
        Rack(id: rackID, hall: hallIndex, nodes: firstNode..<nodes.count, powerLimit: entry.powerLimit))
    }
  }

  private mutating func placeNodes(
    _ text: String, in entry: FleetDocument.RackEntry, model: Int, gpus: Int
  ) throws(NamePattern.Invalid) {
    let pattern = try NamePattern(text)
    guard nodes.count + pattern.count <= Limits.nodesMax else { throw .tooManyNames }
    let rack = RackIndex(racks.count)
    pattern.forEachName { name in
      guard let id = NodeID(name) else {
        findings.error(
          entry.nodes.position, "node name '\(name.prefix(80))' cannot be a label",
          remedy: "use 1 to \(Limits.identifierBytesMax) letters, digits, '.', '_' and '-', or mend the placeholder")
        return
      }
      if let other = nodeByID[id] {
        findings.error(
          entry.nodes.position,
          "node '\(name)' stands in two racks, first in the one of line \(rackEntryLines[other.position])",
          remedy: "a node stands in one rack: change one of the patterns")
        return
      }
      nodeByID[id] = NodeIndex(nodes.count)
      nodes.append(FleetNode(id: id, rack: rack, model: model, gpus: gpus, memberships: 0..<0))
      rackEntryLines.append(entry.position.line)
    }
  }

  private func model(of entry: FleetDocument.RackEntry) -> Int? {
    guard let model = entry.defaults.model else {
      findings.error(
        entry.position, "rack '\(entry.ids)' has no GPU model", remedy: "add 'model: …' to it, its hall or its factory")
      return nil
    }
    guard let index = modelByKey[model.key] else {
      let guess = EditDistance.nearest(to: model.key, in: modelByKey.keys.sorted())
      findings.error(
        model.position, "GPU model '\(model.key)' is unknown",
        remedy: guess.map { "did you mean '\($0)'?" }
          ?? "define it under gpu_models, or use one of \(modelByKey.keys.sorted().joined(separator: ", "))")
      return nil
    }
    return index
  }

  private func check(_ count: Int, _ limit: Int, _ what: String, at position: FilePosition = .wholeFile) {
    guard count > limit else { return }
    findings.error(position, "\(count) \(what), limit \(limit)", remedy: "split the fleet over several aggregators")
  }

  /// Connects meters to the halls they feed.
  mutating func connectMeters() {
    var lineOfMeter: [String: Int] = [:]
    for factory in document.factories {
      // A factory defined twice keeps its first entry; both entries' meters are checked against it.
      guard let index = factories.firstIndex(where: { $0.id == factory.id }) else { continue }
      for entry in factory.meters {
        if let line = lineOfMeter[entry.id] {
          findings.error(
            entry.position, "meter '\(entry.id)' is defined again, first on line \(line)",
            remedy: "give each meter of the nation its own id")
          continue
        }
        lineOfMeter[entry.id] = entry.position.line
        connect(entry, of: factory, at: FactoryIndex(index))
      }
    }
  }

  private mutating func connect(
    _ entry: FleetDocument.MeterEntry, of factory: FleetDocument.FactoryEntry, at index: FactoryIndex
  ) {
    let meter = MeterIndex(meters.count)
    var fed: [HallIndex] = []
    let names =
      entry.halls.isEmpty
      ? factories[index.position].halls.map { (text: halls[$0].id, position: entry.position) } : entry.halls
    for (name, position) in names {
      guard let hall = hallByPath["\(factory.id)/\(name)"] else {
        let known = factory.halls.map(\.id)
        let guess = EditDistance.nearest(to: name, in: known)
        findings.error(
          position, "meter '\(entry.id)' feeds hall '\(name)', which factory '\(factory.id)' does not have",
          remedy: guess.map { "did you mean '\($0)'?" } ?? "its halls are \(known.joined(separator: ", "))")
        continue
      }
      if let other = halls[hall.position].meter {
        findings.error(
          position, "hall '\(name)' is fed by meter '\(entry.id)' and by '\(meters[other.position].id)'",
          remedy: "a hall hangs on one meter: list the halls of each")
        continue
      }
      fed.append(hall)
      halls[hall.position] = halls[hall.position].fed(by: meter)
    }
    if entry.puePermille == nil && factory.puePermille == nil && entry.source == nil {
      findings.error(
        entry.position, "meter '\(entry.id)' has neither 'pue' nor 'source_node'",
        remedy: "add the factor from IT to facility power, or the node whose readings are the meter's")
    }
    if let source = entry.source {
      if nodeByID[source.id] != nil {
        findings.error(
          source.position, "source_node '\(source.id)' of meter '\(entry.id)' stands in a rack",
          remedy: "give the meter's readings a name of their own")
      }
      if let other = meterBySource.updateValue(meter, forKey: source.id) {
        findings.error(
          source.position, "source_node '\(source.id)' already feeds meter '\(meters[other.position].id)'",
          remedy: "one name per meter")
      }
    }
    meters.append(
      Meter(
        id: entry.id, name: entry.name, factory: index, halls: fed, contract: entry.contract,
        puePermille: entry.puePermille ?? factory.puePermille ?? 1000, sourceNode: entry.source?.id,
        clockOffsetSeconds: entry.clockOffsetSeconds, ratchetMonths: entry.ratchetMonths))
  }
}

extension Hall {
  func fed(by meter: MeterIndex) -> Hall {
    Hall(
      id: id, name: name, factory: factory, racks: racks, service: service, powerLimit: powerLimit, meter: meter)
  }
}
