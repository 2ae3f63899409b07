import BongsuAPI
import BongsuFleet
import BongsuModel
import BongsuRollup
import Testing

@testable import bongsu_aggregator

@Suite("what a token sees on the page")
struct PageScopeTests {
  private static let fleet = """
    version: 1
    nation: test
    time_zone: UTC
    factories:
      - id: north
        pue: 1.2
        halls:
          - { id: a, in_service: 2020-01-01, model: B200, racks: [{ id: "r[1-3]", nodes: "north-a-{rack}" }] }
          - { id: b, in_service: 2020-01-01, model: B200, racks: [{ id: r1, nodes: north-b-r1 }] }
        meters: [{ id: north-main, contract_power: 1 MW }]
      - id: south
        pue: 1.2
        halls:
          - { id: c, in_service: 2020-01-01, model: B200, racks: [{ id: r1, nodes: "south-c-n[1-2]" }] }
        meters: [{ id: south-main, contract_power: 1 MW }]
    allocations:
      - { path: blue }
      - { path: blue/one, members: [{ nodes: ["north-a-r[1-2]", south-c-n1] }] }
      - { path: blue/two, members: [{ nodes: north-a-r3 }] }
      - { path: green, members: [{ nodes: [north-b-r1, south-c-n2] }] }
    """

  private func scope(_ matchers: [String]) throws -> PageScope {
    let tree = try #require(FleetFile(text: Self.fleet, path: "f.yaml").tree)
    return PageScope(scope: try AccessScope(matchers), catalogue: RollupCatalogue(RollupPlan(tree)))
  }

  /// Cells by the labels of their groups, such as `factory_allocation north blue/one`.
  private func names(_ cells: [PageCell], _ scope: PageScope) -> [String] {
    cells.map { cell in
      let labels = scope.catalogue.plan.labels(cell.level, cell.group)
      let names = labels.filter { $0.name != "nation" && $0.name != "depth" }.map(\.value)
      return ([cell.level.prefix] + names).joined(separator: " ")
    }
  }

  @Test("without a scope the nation is one cell, and so is everything in it")
  func everything() throws {
    let scope = try scope([])
    #expect(names(scope.nation(), scope) == ["nation"])
    #expect(names(scope.cells(of: FactoryIndex(0)), scope) == ["factory north"])
    #expect(names(scope.cells(of: AllocationIndex(0)), scope) == ["allocation blue"])
    #expect(scope.meters().count == 2)
  }

  @Test("an allocation's token sees its share of factories, no GPU twice, and no contract")
  func allocation() throws {
    let scope = try scope(["allocation=\"blue\""])
    // blue holds blue/one and blue/two: the parts are not added again.
    #expect(names(scope.nation(), scope) == ["factory_allocation north blue", "factory_allocation south blue"])
    #expect(names(scope.cells(of: FactoryIndex(0)), scope) == ["factory_allocation north blue"])
    #expect(scope.shares(of: FactoryIndex(0)).count == 3)
    #expect(scope.meters().isEmpty)
    let tree = scope.catalogue.plan.tree
    #expect(scope.cells(of: try #require(tree.allocation("green"))).isEmpty)
    #expect(tree.halls.indices.allSatisfy { !scope.sees(.hall, $0) })
  }

  @Test("a part's token sees nothing of what is above and beside it")
  func part() throws {
    let scope = try scope(["allocation=\"blue/two\""])
    #expect(names(scope.nation(), scope) == ["factory_allocation north blue/two"])
    let tree = scope.catalogue.plan.tree
    #expect(scope.cells(of: try #require(tree.allocation("blue"))).isEmpty)
    #expect(scope.cells(of: try #require(tree.factory("south"))).isEmpty)
  }

  @Test("a factory's token sees it whole with its contract, and of allocations what stands there")
  func factory() throws {
    let scope = try scope(["factory=\"south\""])
    #expect(names(scope.nation(), scope) == ["factory south"])
    let tree = scope.catalogue.plan.tree
    #expect(names(scope.cells(of: try #require(tree.allocation("blue"))), scope) == ["factory_allocation south blue"])
    #expect(scope.cells(of: try #require(tree.allocation("blue/two"))).isEmpty)
    #expect(scope.meters().map { tree.meters[$0].id } == ["south-main"])
    #expect(scope.cells(of: FactoryIndex(0)).isEmpty)
  }

  @Test(
    "a hall's and a rack's token see them and not the factory",
    arguments: [
      (["factory=\"north\", hall=\"a\""], ["hall north a"]), (["hall=\"a\", rack=\"r3\""], ["rack north a r3"]),
    ])
  func hall(matchers: [String], cells: [String]) throws {
    let scope = try scope(matchers)
    #expect(names(scope.cells(of: FactoryIndex(0)), scope) == cells)
    #expect(names(scope.nation(), scope) == cells)
    #expect(scope.meters().isEmpty)
  }

  @Test("a node is seen by what it is, where it stands and whose it is")
  func node() throws {
    let blue = try scope(["allocation=\"blue\""])
    let tree = blue.catalogue.plan.tree
    let tick = Tick(unixMilliseconds: 1_767_225_600_000)
    func sees(_ scope: PageScope, _ name: String) throws -> Bool {
      let id = try #require(NodeID(name))
      return scope.sees(id, at: try #require(NodePlace(id, tree, at: tick)))
    }
    #expect(try sees(blue, "south-c-n1"))
    #expect(try !sees(blue, "south-c-n2"))
    #expect(try !sees(blue, "stranger"), "what nobody has placed belongs to nobody")
    #expect(try sees(scope(["node=\"south-c-n2\""]), "south-c-n2"))
  }
}
