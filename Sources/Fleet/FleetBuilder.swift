import BongsuModel

/// Resolves the references of a ``FleetDocument`` and lays out the tables of a ``FleetTree``.
///
/// Every step goes on after a finding, so that one run names all that is wrong; the tree is made only when no error was
/// found. Steps follow the order in which they need each other: models, allocations, sites, meters, memberships.
struct FleetBuilder {
  let document: FleetDocument
  let findings: FindingCollector
  let options: FleetOptions

  var models: [GPUModel] = []
  var modelByKey: [String: Int] = [:]
  var factories: [Factory] = []
  var halls: [Hall] = []
  var racks: [Rack] = []
  var nodes: [FleetNode] = []
  var nodeByID: [NodeID: NodeIndex] = [:]
  var hallByPath: [String: HallIndex] = [:]
  var rackByPath: [String: RackIndex] = [:]
  var meters: [Meter] = []
  var meterBySource: [NodeID: MeterIndex] = [:]
  var allocations: [Allocation] = []
  var allocationByPath: [String: AllocationIndex] = [:]
  var memberships: [Membership] = []
  var maintenance: [MaintenanceWindow] = []
  var carbonFactors: [CarbonFactor] = []
  /// Line of the rack entry that placed each node, for messages about the second one.
  var rackEntryLines: [Int] = []

  init(_ document: FleetDocument, options: FleetOptions, findings: FindingCollector) {
    self.document = document
    self.options = options
    self.findings = findings
  }

  /// The tree, `nil` when the document has errors.
  mutating func build() -> FleetTree? {
    collectModels()
    collectAllocations()
    placeFactories()
    placeUnassigned()
    connectMeters()
    assignMembers()
    scheduleMaintenance()
    collectCarbonFactors()
    guard findings.errorCount == 0 else { return nil }
    return FleetTree(
      nation: document.nation, name: document.name, timeZone: document.timeZone, planGPUs: document.planGPUs,
      factories: factories, halls: halls, racks: racks, nodes: nodes, allocations: allocations, meters: meters,
      models: models, memberships: memberships, maintenance: maintenance, carbonFactors: carbonFactors,
      isDemonstration: options.demoInService, changeInstants: changeInstants(), nodeByID: nodeByID,
      allocationByPath: allocationByPath, meterBySource: meterBySource, hallOfRack: racks.map(\.hall))
  }

  /// Whatever the file does not place stands in the last factory, hall and rack, which hold no node of their own.
  private mutating func placeUnassigned() {
    let id = FleetTree.unassignedID
    let name = "not in the fleet file"
    racks.append(Rack(id: id, hall: HallIndex(halls.count), nodes: nodes.count..<nodes.count, powerLimit: nil))
    halls.append(
      Hall(
        id: id, name: name, factory: FactoryIndex(factories.count), racks: racks.count - 1..<racks.count,
        service: .planned, powerLimit: nil, meter: nil))
    factories.append(
      Factory(
        id: id, name: name, operatorName: "", location: "", halls: halls.count - 1..<halls.count, puePermille: 1000,
        rampLimit10sMilliwatts: nil, rampLimit60sMilliwatts: nil))
  }

  private mutating func collectModels() {
    models = GPUModel.all
    for (index, model) in models.enumerated() { modelByKey[model.key] = index }
    var lineOfKey: [String: Int] = [:]
    for (model, position) in document.models {
      if let line = lineOfKey[model.key] {
        findings.error(
          position, "GPU model '\(model.key)' is defined again, first on line \(line)", remedy: "keep one of the two")
      }
      lineOfKey[model.key] = position.line
      // A definition of the file replaces the built-in one of the same name.
      if let index = modelByKey[model.key] {
        models[index] = model
      } else {
        modelByKey[model.key] = models.count
        models.append(model)
      }
    }
  }

  private mutating func collectCarbonFactors() {
    var previous: (from: Tick, line: Int)?
    for (factor, position) in document.carbonFactors.sorted(by: { $0.factor.from < $1.factor.from }) {
      if let previous, previous.from == factor.from {
        findings.error(
          position, "a second carbon factor begins on the same date, first on line \(previous.line)",
          remedy: "keep one of the two")
      }
      previous = (factor.from, position.line)
      carbonFactors.append(factor)
    }
  }

  private func changeInstants() -> [Tick] {
    var instants: Set<Tick> = []
    for hall in halls {
      if case .inService(let since) = hall.service { instants.insert(since) }
    }
    for membership in memberships { instants.formUnion([membership.from, membership.until]) }
    for window in maintenance { instants.formUnion([window.from, window.until]) }
    return instants.subtracting([.distantPast, .distantFuture]).sorted()
  }
}
