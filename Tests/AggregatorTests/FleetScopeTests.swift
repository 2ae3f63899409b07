import BongsuAPI
import BongsuFleet
import BongsuModel
import BongsuReports
import BongsuRollup
import BongsuSeries
import Testing

@testable import bongsu_aggregator

/// What a token may see of the fleet, together with what is asked for.
@Suite("scopes on the fleet")
struct FleetScopeTests {
  private static let fleet = """
    version: 1
    nation: test
    time_zone: UTC
    factories:
      - id: f
        halls:
          - { id: h1, in_service: 2020-01-01, model: B200, racks: [{ id: r1, nodes: "f1-[1-2]" }, { id: r2, nodes: f2 }] }
          - { id: h2, in_service: 2020-01-01, model: B200, racks: [{ id: r1, nodes: "f3-[1-3]" }] }
      - id: g
        halls:
          - { id: h1, in_service: 2020-01-01, model: B200, racks: [{ id: r1, nodes: "g1-[1-2]" }] }
    allocations:
      - { path: a, members: [{ nodes: f1-1 }] }
      - { path: a/b, members: [{ nodes: f2 }] }
      - { path: a/b/c, members: [{ nodes: g1-1 }] }
      - { path: a/d, members: [{ nodes: f3-1 }] }
      - { path: e, members: [{ nodes: "f1-2" }, { nodes: "f3-2" }] }
      - { path: ab, members: [{ nodes: g1-2 }] }
    """

  private static let scopes = [
    "allocation=\"a\"", "allocation=\"a/b\"", "allocation!=\"a/b\"", "allocation=~\"a|e\"", "allocation=~\"a/.*\"",
    "allocation=\"nobody\"", "factory=\"f\"", "factory!=\"f\"", "factory=~\"f|g\"", "hall=\"h1\"", "rack=\"r1\"",
    "node=\"f1-1\"", "node=~\"f.*\"", "factory=\"f\",allocation=\"a\"", "factory=\"g\",allocation=\"e\"",
    "factory=\"f\",hall=\"h1\",rack=\"r1\"", "allocation=\"unassigned\"", "factory=\"unassigned\"",
    "allocation=\"a\",allocation!=\"a/b/c\"", "allocation!=\"e\",factory=\"f\"",
  ]

  private static let filters: [TopFilter] = [
    TopFilter(), TopFilter(factory: "f"), TopFilter(factory: "g"), TopFilter(allocation: "a"),
    TopFilter(allocation: "a/b"), TopFilter(allocation: "e"), TopFilter(factory: "f", allocation: "a"),
    TopFilter(hall: "f/h1"), TopFilter(hall: "f/h1", rack: "r1"), TopFilter(node: "f1-1"),
    TopFilter(factory: "f", hall: "h2", allocation: "e"),
  ]

  private let tree: FleetTree
  private let plan: RollupPlan

  init() throws {
    tree = try #require(FleetFile(text: Self.fleet, path: "f.yaml").tree)
    plan = RollupPlan(tree)
  }

  private let now = Tick(unixMilliseconds: 1_767_225_600_000)

  private func places() throws -> [(NodeID, NodePlace)] {
    try (tree.nodes.map(\.id) + [#require(NodeID("stray"))]).map { ($0, try #require(NodePlace($0, tree, at: now))) }
  }

  private func labels(_ id: NodeID, _ place: NodePlace) -> [String: String] {
    [
      "node": id.name, "factory": tree[place.factory].id, "hall": tree[place.hall].id, "rack": tree[place.rack].id,
      "allocation": tree[place.allocation].path,
    ]
  }

  /// Whether a filter alone means a node, from its labels.
  private func isMeant(_ labels: [String: String], _ filter: TopFilter) -> Bool {
    let hall = filter.hall.map { $0.contains("/") ? $0 : "\(filter.factory ?? "")/\($0)" }
    return (filter.factory ?? labels["factory"]) == labels["factory"]
      && (hall ?? "\(labels["factory"]!)/\(labels["hall"]!)") == "\(labels["factory"]!)/\(labels["hall"]!)"
      && (filter.rack ?? labels["rack"]) == labels["rack"] && (filter.node ?? labels["node"]) == labels["node"]
      && (filter.allocation.map { TopFilter.allocation(labels["allocation"]!, isWithin: $0) } ?? true)
  }

  @Test("a node is in it exactly when its labels satisfy the filter and the scope", arguments: scopes)
  func nodes(text: String) throws {
    let access = try AccessScope([text])
    for filter in Self.filters {
      let scope = try FleetScope(filter, tree, within: access)
      for (id, place) in try places() {
        let labels = labels(id, place)
        let expected = access.includes(labels) && isMeant(labels, filter)
        #expect(!scope.isNothing || !expected, "\(filter) \(id)")
        if !scope.isNothing { #expect(scope.contains(place, id) == expected, "\(filter) \(id)") }
      }
    }
  }

  @Test("a total that is shown holds nodes of the scope alone, and together they hold all of them", arguments: scopes)
  func totals(text: String) throws {
    let access = try AccessScope([text])
    for filter in Self.filters {
      let scope = try FleetScope(filter, tree, within: access)
      guard !scope.isNothing else { continue }
      for level in [TopLevel.nation, .factories, .halls, .racks, .allocations] {
        guard let source = RollupSource(level, scope) else { continue }
        var told: Set<NodeID> = []
        for group in 0..<plan.groupCount(source.level) where source.row(group, plan, scope) != nil {
          for (id, place) in try places() where isPart(place, of: group, source.level) {
            #expect(scope.contains(place, id), "\(level) of \(filter) holds \(id)")
            told.insert(id)
          }
        }
        for (id, place) in try places() where scope.contains(place, id) {
          #expect(told.contains(id), "\(level) of \(filter) lacks \(id)")
        }
      }
    }
  }

  private func isPart(_ place: NodePlace, of group: Int, _ level: RollupLevel) -> Bool {
    switch level {
    case .nation: true
    case .factory: place.factory.position == group
    case .hall: place.hall.position == group
    case .rack: place.rack.position == group
    case .allocation: place.lineage.contains(AllocationIndex(group))
    case .factoryAllocation:
      place.factory == plan.pairs[group].factory && place.lineage.contains(plan.pairs[group].allocation)
    case .meter: false
    }
  }

  @Test("of allocations above those that may be seen not even the name is shown")
  func names() throws {
    let scope = try FleetScope(TopFilter(), tree, within: AccessScope(["allocation=\"a/b\""]))
    #expect(scope.shows(group: "a/b", .allocations) && scope.shows(group: "a/b/c", .allocations))
    #expect(!scope.shows(group: "a", .allocations) && !scope.shows(group: "e", .allocations))
  }

  @Test("a single factory or allocation that is left is answered from closed ticks, to the milliwatt")
  func cells() throws {
    func level(_ question: TopLevel, _ text: String, _ filter: TopFilter = TopFilter()) throws -> RollupLevel? {
      RollupSource(question, try FleetScope(filter, tree, within: AccessScope([text])))?.level
    }
    #expect(try level(.nation, "allocation=\"a\"") == .allocation)
    #expect(try level(.nation, "factory=\"f\"") == .factory)
    #expect(try level(.nation, "factory=\"f\",allocation=\"a\"") == .factoryAllocation)
    #expect(try level(.factories, "allocation=\"a\"") == .factoryAllocation)
    #expect(try level(.factories, "factory=~\"f|g\"") == .factory)
    #expect(try level(.allocations, "allocation=~\"a|e\"") == .allocation)
    #expect(try level(.nation, "allocation=~\"a|e\"") == nil)
    #expect(try level(.nation, "allocation=~\"a|e\"", TopFilter(allocation: "e")) == .allocation)
    #expect(try level(.racks, "allocation=\"a\"") == nil)
    #expect(try level(.racks, "node=\"f1-1\"") == nil)
  }
}
