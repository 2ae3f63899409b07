import BongsuFleet
import BongsuModel

/// A scenario on a fleet: every event with its nodes, as instructions for each simulated node.
struct ScenarioPlan {
  /// What happens to one node, ascending in time.
  struct Instruction: Hashable, Sendable {
    /// After the start of the run.
    var atMilliseconds: Int64
    var action: NodeAction
  }

  /// An event on one node.
  enum NodeAction: Hashable, Sendable {
    case power(permille: Int, over: Int64)
    case ramp(toPermille: Int, over: Int64)
    case normal(over: Int64)
    case vanish
    case comeBack
    case loseNetwork
    case regainNetwork
    case breakConnection
    case clock(offset: Int64)
    /// The GPUs whose bits are set stop answering.
    case failGPUs(UInt64)
    /// They answer again.
    case healGPUs(UInt64)
  }

  /// An event as it was resolved, for progress.
  struct Announcement: Hashable, Sendable {
    var atMilliseconds: Int64
    var text: String
    var nodes: Int
  }

  private(set) var announcements: [Announcement] = []
  private(set) var instructions: [NodeIndex: [Instruction]] = [:]

  /// A plan without events.
  init() {}

  /// Resolves `scenario` on the simulated `nodes` of `tree`.
  ///
  /// - Parameter path: of the scenario file, for messages.
  /// - Throws: ``ScenarioUnusable`` with every name that the fleet does not know.
  init(
    _ scenario: Scenario, path: String, tree: FleetTree, nodes: [NodeIndex], at tick: Tick, seed: UInt64
  ) throws(ScenarioUnusable) {
    var findings: [String] = []
    for (number, event) in scenario.events.enumerated() {
      do throws(Unresolved) {
        let members = try Self.members(of: event.target, tree: tree, nodes: nodes, at: tick)
        add(event, members, tree, salt: Self.mixed(seed, UInt64(number)))
      } catch {
        findings.append("\(path):\(event.line): error: \(error.problem); \(error.remedy)")
      }
    }
    guard findings.isEmpty else { throw ScenarioUnusable(findings: findings) }
    if scenario.failures.gpusPerHundredThousand > 0 {
      for node in nodes {
        let mask = Self.gpuMask(node, tree, perHundredThousand: scenario.failures.gpusPerHundredThousand, salt: seed)
        if mask != 0 { give(node, Instruction(atMilliseconds: 0, action: .failGPUs(mask))) }
      }
    }
    for node in instructions.keys {
      // A stable sort: events of one instant happen in the order of the file.
      instructions[node] = instructions[node]?.enumerated().sorted {
        ($0.element.atMilliseconds, $0.offset) < ($1.element.atMilliseconds, $1.offset)
      }.map(\.element)
    }
  }

  private mutating func give(_ node: NodeIndex, _ instruction: Instruction) {
    instructions[node, default: []].append(instruction)
  }

  private mutating func add(_ event: ScenarioEvent, _ members: [NodeIndex], _ tree: FleetTree, salt: UInt64) {
    let share = event.perHundredThousand
    switch event.action {
    case .failGPUs, .healGPUs:
      var count = 0
      for node in members {
        let mask = Self.gpuMask(node, tree, perHundredThousand: share, salt: salt)
        guard mask != 0 else { continue }
        count += 1
        let fails = event.action == .failGPUs
        give(node, Instruction(atMilliseconds: event.atMilliseconds, action: fails ? .failGPUs(mask) : .healGPUs(.max)))
        if fails, let time = event.forMilliseconds {
          give(node, Instruction(atMilliseconds: event.atMilliseconds + time, action: .healGPUs(mask)))
        }
      }
      announce(event, count)
    default:
      let chosen = Self.chosen(members, perHundredThousand: share, salt: salt)
      for node in chosen {
        for instruction in Self.instructions(event) { give(node, instruction) }
      }
      announce(event, chosen.count)
    }
  }

  private mutating func announce(_ event: ScenarioEvent, _ nodes: Int) {
    announcements.append(Announcement(atMilliseconds: event.atMilliseconds, text: event.text, nodes: nodes))
  }

  private static func instructions(_ event: ScenarioEvent) -> [Instruction] {
    let at = event.atMilliseconds
    let end = event.forMilliseconds.map { at + $0 }
    func once(_ action: NodeAction, _ opposite: NodeAction?) -> [Instruction] {
      var steps = [Instruction(atMilliseconds: at, action: action)]
      if let end, let opposite { steps.append(Instruction(atMilliseconds: end, action: opposite)) }
      return steps
    }
    switch event.action {
    case .power(let permille, let over): return once(.power(permille: permille, over: over), .normal(over: 0))
    case .ramp(let permille, let over): return once(.ramp(toPermille: permille, over: over), .normal(over: 0))
    case .normal(let over): return once(.normal(over: over), nil)
    case .vanish: return once(.vanish, .comeBack)
    case .comeBack: return once(.comeBack, nil)
    case .loseNetwork: return once(.loseNetwork, .regainNetwork)
    case .regainNetwork: return once(.regainNetwork, nil)
    case .clock(let offset): return once(.clock(offset: offset), .clock(offset: 0))
    case .flap(let every):
      return stride(from: at, to: end ?? at, by: Int(every)).map {
        Instruction(atMilliseconds: $0, action: .breakConnection)
      }
    case .failGPUs, .healGPUs: return []
    }
  }

  // MARK: Choosing

  /// The first `perHundredThousand` of `nodes` in an order drawn from `salt`, at least one.
  static func chosen(_ nodes: [NodeIndex], perHundredThousand: Int, salt: UInt64) -> [NodeIndex] {
    guard perHundredThousand < 100_000 else { return nodes }
    let count = max(1, (nodes.count * perHundredThousand + 50_000) / 100_000)
    let order = nodes.sorted { mixed(salt, UInt64($0.position)) < mixed(salt, UInt64($1.position)) }
    return order.prefix(count).sorted()
  }

  private static func gpuMask(_ node: NodeIndex, _ tree: FleetTree, perHundredThousand: Int, salt: UInt64) -> UInt64 {
    var mask: UInt64 = 0
    for gpu in 0..<min(64, tree[node].gpus) {
      let roll = mixed(salt, UInt64(node.position) << 6 | UInt64(gpu)) % 100_000
      if Int(roll) < perHundredThousand { mask |= 1 << UInt64(gpu) }
    }
    return mask
  }

  static func mixed(_ seed: UInt64, _ value: UInt64) -> UInt64 {
    var stream = SeedStream(state: seed ^ (value &* 0xD6E8_FEB8_6659_FD93))
    return stream.next()
  }

  // MARK: Names

  /// Why a name means no nodes.
  struct Unresolved: Error {
    var problem: String
    var remedy: String
  }

  /// The simulated nodes that `target` names.
  static func members(
    of target: ScenarioTarget, tree: FleetTree, nodes: [NodeIndex], at tick: Tick
  ) throws(Unresolved) -> [NodeIndex] {
    let members: [NodeIndex]
    switch target.kind {
    case .all: members = nodes
    case .node:
      guard let id = NodeID(target.name), let node = tree.node(id) else {
        throw Unresolved(problem: "the fleet has no node '\(target.name)'", remedy: "see bongsu fleet show")
      }
      members = nodes.filter { $0 == node }
    case .factory, .hall, .rack: members = try self.members(at: target, tree, nodes)
    case .allocation:
      guard let path = tree.allocation(target.name).map({ tree[$0].path }) else {
        throw Unresolved(
          problem: "the fleet has no allocation '\(target.name)'", remedy: "name a path of bongsu fleet show")
      }
      members = nodes.filter { isWithin(tree[tree.allocation(of: $0, at: tick)].path, path) }
    case .any:
      if let factory = try? factory(target.name, tree) {
        members = nodes.filter { tree.factory(of: $0) == factory }
      } else {
        guard tree.allocation(target.name) != nil else {
          throw Unresolved(
            problem: "'\(target.name)' is neither a factory nor an allocation of the fleet",
            remedy: "expected one of \(names(tree)), or a path of bongsu fleet show")
        }
        return try Self.members(
          of: ScenarioTarget(kind: .allocation, name: target.name), tree: tree, nodes: nodes, at: tick)
      }
    }
    guard !members.isEmpty else {
      throw Unresolved(
        problem: "none of the \(nodes.count) simulated nodes belongs to '\(target.name)'",
        remedy: "simulate more nodes with --nodes")
    }
    return members
  }

  private static func members(
    at target: ScenarioTarget, _ tree: FleetTree, _ nodes: [NodeIndex]
  ) throws(Unresolved) -> [NodeIndex] {
    let parts = target.name.split(separator: "/").map(String.init)
    let wanted = target.kind == .factory ? 1 : target.kind == .hall ? 2 : 3
    guard parts.count == wanted else {
      throw Unresolved(
        problem: "'\(target.name)' does not name a \(target.kind.rawValue)",
        remedy: "write \(["FACTORY", "FACTORY/HALL", "FACTORY/HALL/RACK"][wanted - 1])")
    }
    let factory = try factory(parts[0], tree)
    return nodes.filter { node in
      tree.factory(of: node) == factory && (wanted < 2 || tree[tree.hall(of: node)].id == parts[1])
        && (wanted < 3 || tree[tree.rack(of: node)].id == parts[2])
    }
  }

  /// The factory called `name`, or the only one whose id begins with it and a hyphen.
  static func factory(_ name: String, _ tree: FleetTree) throws(Unresolved) -> FactoryIndex {
    if let factory = tree.factory(name) { return factory }
    let candidates = tree.factories.indices.filter { tree.factories[$0].id.hasPrefix(name + "-") }
    guard candidates.count == 1 else {
      throw Unresolved(
        problem: candidates.isEmpty
          ? "the fleet has no factory '\(name)'"
          : "'\(name)' may be \(candidates.map { tree.factories[$0].id }.joined(separator: " or "))",
        remedy: "expected one of \(names(tree))")
    }
    return FactoryIndex(candidates[0])
  }

  private static func names(_ tree: FleetTree) -> String {
    tree.factories.dropLast().prefix(20).map(\.id).joined(separator: ", ")
  }

  private static func isWithin(_ path: String, _ root: String) -> Bool {
    path == root || path.hasPrefix(root + "/")
  }
}
