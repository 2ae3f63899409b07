import BongsuDevices
import BongsuFleet
import BongsuModel
import Foundation
import Testing

@testable import bongsu_fleet

@Suite("Scenario files")
struct ScenarioFileTests {
  static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

  static let nation: FleetTree? = try? FleetFile(
    path: "\(repository)/ops/fleets/korea.yaml", options: FleetOptions(demoInService: true)
  ).usableTree()
  static let instant = Tick(unixMilliseconds: 1_800_000_000_000)

  @Test(
    "every scenario that is shipped fits the national plan",
    arguments: ["power-step", "agents-vanish", "bad-day"])
  func shipped(name: String) throws {
    let tree = try #require(Self.nation)
    let path = "\(Self.repository)/ops/scenarios/\(name).yaml"
    let scenario = try ScenarioFile.load(path)
    #expect(!scenario.name.isEmpty && !scenario.events.isEmpty)
    let nodes = NodeSelection.spread(640, over: tree, at: Self.instant, excluded: [])
    let plan = try ScenarioPlan(scenario, path: path, tree: tree, nodes: nodes, at: Self.instant, seed: 1)
    #expect(plan.announcements.count == scenario.events.count)
    #expect(plan.announcements.allSatisfy { $0.nodes > 0 })
    _ = try JobMix(scenario.mixes, path: path, tree: tree, seed: 1)
  }

  @Test("events come in the order of time, with all parts of the file")
  func parts() throws {
    let scenario = try ScenarioFile.parse(
      """
      version: 1
      name: test
      jobs: [{factory: a, training: 70 %, inference: 30%, job_nodes: 64}]
      failures: {gpus: 0.25 %, nodes_per_minute: 1 %, down_for: 2 min}
      events:
        - at 60s: all vanish
        - at 1.5s: all power +1 %
      """, path: "t.yaml")
    #expect(scenario.mixes.first?.trainingPermille == 700 && scenario.mixes.first?.idlePermille == 0)
    #expect(scenario.mixes.first?.jobNodes == 64)
    #expect(scenario.failures.gpusPerHundredThousand == 250 && scenario.failures.downMilliseconds == 120_000)
    #expect(scenario.failures.nodesPerHundredThousandAndMinute == 1000)
    #expect(scenario.events.map(\.atMilliseconds) == [1500, 60_000])
    #expect(scenario.events.first?.text == "all power +1 %")
  }

  @Test(
    "what is wrong is named by file, line and remedy",
    arguments: [
      ("", "is empty"), ("- a\n", "no mapping"), ("version: [\n", "is not YAML"), ("name: x\n", "has no version"),
      ("version: 2\n", "t.yaml:1: error: version is '2'"),
      ("version: 1\nevent: []\n", "t.yaml:2: error: 'event' is unknown"),
      ("version: 1\nevents: soon\n", "events is no list"), ("version: 1\nevents: [vanish]\n", "at TIME"),
      ("version: 1\nevents: [{in 5 s: all vanish}]\n", "'in 5 s' is no instant"),
      ("version: 1\nevents: [{at noon: all vanish}]\n", "the instant is 'noon'"),
      ("version: 1\nevents:\n  - at 5s: all explode\n", "t.yaml:3: error: 'all explode'"),
      ("version: 1\njobs: [{factory: a, training: 70 %}]\n", "add up to 70.0 %"),
      ("version: 1\njobs: [{factory: a, training: 100 %, job_nodes: 0}]\n", "job_nodes is '0'"),
      ("version: 1\njobs: [{factory: a, gaming: 100 %}]\n", "'gaming' is unknown here"),
      ("version: 1\nfailures: {gpus: lots}\n", "gpus is 'lots'"),
      ("version: 1\nfailures: {gpus: 101 %}\n", "gpus is '101 %'"),
      ("version: 1\nfailures: {down_for: forever}\n", "down_for is 'forever'"),
    ])
  func refused(text: String, expected: String) {
    do {
      let scenario = try ScenarioFile.parse(text, path: "t.yaml")
      Issue.record("read as \(scenario)")
    } catch {
      #expect("\(error)".contains(expected), "\(error)")
    }
  }

  @Test("a file that cannot be opened is named")
  func missing() {
    #expect(throws: ScenarioUnusable.self) { try ScenarioFile.load("/nonexistent/scenario.yaml") }
  }

  @Test("names are found by kind, by beginning and by path; others are refused with what there is")
  func names() throws {
    let tree = try #require(Self.nation)
    let all = tree.nodes.indices.map { NodeIndex($0) }
    func members(_ kind: ScenarioTarget.Kind, _ name: String) throws -> [NodeIndex] {
      try ScenarioPlan.members(of: ScenarioTarget(kind: kind, name: name), tree: tree, nodes: all, at: Self.instant)
    }
    let ulsan = try #require(tree.factory("sk-ulsan"))
    #expect(try members(.any, "sk") == all.filter { tree.factory(of: $0) == ulsan })
    #expect(try members(.factory, "sk-ulsan").count == members(.any, "sk").count)
    #expect(try members(.hall, "sk-ulsan/a").count < members(.factory, "sk").count)
    #expect(try members(.rack, "sk/a/r001").count > 0)
    let ministry = try members(.any, "msit")
    #expect(ministry.contains { tree[tree.allocation(of: $0, at: Self.instant)].path.hasPrefix("msit/") })
    let id = tree.nodes[17].id.name
    #expect(try members(.node, id) == [NodeIndex(17)])
    for (kind, name, expected) in [
      (ScenarioTarget.Kind.any, "nowhere", "neither a factory nor"), (.factory, "n", "no factory 'n'"),
      (.node, "x", "no node 'x'"), (.hall, "sk-ulsan", "does not name a hall"), (.allocation, "k", "no allocation"),
    ] {
      do {
        _ = try ScenarioPlan.members(
          of: ScenarioTarget(kind: kind, name: name), tree: tree, nodes: all, at: Self.instant)
        Issue.record("\(name) was found")
      } catch {
        #expect(error.problem.contains(expected), "\(error.problem)")
      }
    }
  }

  @Test("a share takes that many nodes, the same for the same seed and others for another")
  func shares() {
    let nodes = (0..<1000).map { NodeIndex($0) }
    let tenth = ScenarioPlan.chosen(nodes, perHundredThousand: 10_000, salt: 5)
    #expect(tenth.count == 100 && Set(tenth).count == 100 && tenth == tenth.sorted())
    #expect(tenth == ScenarioPlan.chosen(nodes, perHundredThousand: 10_000, salt: 5))
    #expect(tenth != ScenarioPlan.chosen(nodes, perHundredThousand: 10_000, salt: 6))
    #expect(ScenarioPlan.chosen(nodes, perHundredThousand: 1, salt: 5).count == 1)
    #expect(ScenarioPlan.chosen(nodes, perHundredThousand: 100_000, salt: 5) == nodes)
  }

  @Test("jobs take the shares of their mix, and training spans thousands of GPUs")
  func mixes() throws {
    let tree = try #require(Self.nation)
    let mix = try JobMix(
      [
        Scenario.FactoryMix(
          factory: "sk", trainingPermille: 700, inferencePermille: 200, idlePermille: 100, jobNodes: 512)
      ],
      path: "", tree: tree, seed: 3)
    let ulsan = try #require(tree.factory("sk-ulsan"))
    let works = tree.nodes.indices.filter { tree.factory(of: NodeIndex($0)) == ulsan }.map {
      mix.work(of: NodeIndex($0))
    }
    func share(_ workload: String) -> Double {
      Double(works.count { $0.workload.rawValue == workload }) / Double(works.count)
    }
    #expect(abs(share("training") - 0.7) < 0.01 && abs(share("inference") - 0.2) < 0.01)
    #expect(abs(share("idle") - 0.1) < 0.01)
    let largest = Dictionary(grouping: works.filter { $0.workload.rawValue == "training" }, by: \.job).values.map(
      \.count
    ).max()
    #expect(largest == 512)
    #expect(throws: ScenarioUnusable.self) {
      try JobMix([Scenario.FactoryMix(factory: "nowhere")], path: "", tree: tree, seed: 3)
    }
  }
}
