public import BongsuModel

/// Counts and planning power of every part of a fleet at one instant.
public struct FleetSummary: Sendable {
  /// What one part holds.
  public struct Count: Hashable, Sendable {
    public var gpus = 0
    /// GPUs in service and not in maintenance.
    public var expectedGPUs = 0
    public var nodes = 0
    /// Models that occur, as positions in ``FleetTree/models``.
    public var models: Set<Int> = []
    /// IT power with all GPUs busy, and the same times the PUE of what feeds them, milliwatts.
    public var itMilliwatts: Int64 = 0
    public var facilityMilliwatts: Int64 = 0
  }

  /// Positions are those of the tree's tables; an allocation counts what lies in it.
  public private(set) var nation = Count()
  public private(set) var factories: [Count]
  public private(set) var halls: [Count]
  public private(set) var allocations: [Count]

  /// Counts `tree` as of `tick`. Takes time with the number of nodes.
  public init(_ tree: FleetTree, at tick: Tick) {
    factories = Array(repeating: Count(), count: tree.factories.count)
    halls = Array(repeating: Count(), count: tree.halls.count)
    allocations = Array(repeating: Count(), count: tree.allocations.count)
    let expected = tree.expectedGPUs(at: tick)
    for position in tree.nodes.indices {
      let index = NodeIndex(position)
      let node = tree.nodes[position]
      let hall = tree.hall(of: index)
      let it = tree.typicalMilliwatts(of: index)
      let addition = Addition(
        gpus: node.gpus, expected: Int(expected[position]), model: node.model, it: it,
        facility: it * Int64(tree.puePermille(of: hall)) / 1000)
      addition.add(to: &halls[hall.position])
      addition.add(to: &factories[tree[hall].factory.position])
      addition.add(to: &nation)
      for allocation in tree.lineage(of: tree.allocation(of: index, at: tick)) {
        addition.add(to: &allocations[allocation.position])
      }
    }
  }

  private struct Addition {
    let gpus: Int
    let expected: Int
    let model: Int
    let it: Int64
    let facility: Int64

    func add(to count: inout Count) {
      count.gpus += gpus
      count.expectedGPUs += expected
      count.nodes += 1
      count.models.insert(model)
      count.itMilliwatts += it
      count.facilityMilliwatts += facility
    }
  }
}

extension FleetTree {
  /// Facility power ÷ IT power of `hall`, thousandths: that of its meter, else that of its factory.
  public func puePermille(of hall: HallIndex) -> Int {
    self[hall].meter.map { self[$0].puePermille } ?? self[self[hall].factory].puePermille
  }
}
