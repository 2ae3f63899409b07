import BongsuTestKit

/// What happens to whom and when: all of it follows from the seed.
struct DrillPlan {
  enum Target: Hashable, CustomStringConvertible {
    case aggregator
    case agent(Int)

    var description: String {
      switch self {
      case .aggregator: "aggregator"
      case .agent(let number): "agent \(number + 1)"
      }
    }
  }

  enum Action: Hashable, CustomStringConvertible {
    /// SIGKILL.
    case kill(Target)
    /// SIGTERM, and waiting for the end.
    case terminate(Target)
    case start(Target)
    /// SIGSTOP, SIGCONT.
    case stall(Target)
    case resume(Target)
    /// The agent's relay passes nothing on; both ends still hold their connections.
    case partition(Int)
    /// The relay passes on what has queued up, or drops its connections and with them what was in them.
    case heal(Int, drops: Bool)
    /// The loopback of the drill's own network namespace goes down and up: everybody is cut off.
    case partitionAll
    case healAll

    var description: String {
      switch self {
      case .kill(let target): "kill -9 \(target)"
      case .terminate(let target): "kill -TERM \(target)"
      case .start(let target): "start \(target)"
      case .stall(let target): "kill -STOP \(target)"
      case .resume(let target): "kill -CONT \(target)"
      case .partition(let agent): "partition agent \(agent + 1)"
      case .heal(let agent, let drops): "heal agent \(agent + 1)\(drops ? ", connections dropped" : "")"
      case .partitionAll: "loopback down"
      case .healAll: "loopback up"
      }
    }
  }

  /// Actions in order, with their milliseconds since the start.
  private(set) var steps: [(at: Int, action: Action)] = []

  var killCount: Int { steps.count { if case .kill = $0.action { true } else { false } } }

  /// Draws plans from `seed` until one kills at least once in three seconds, which most do.
  init(seed: UInt64, seconds: Int, agents: Int, hasNamespace: Bool) {
    var random = SeededRandom(seed: seed)
    repeat {
      var draw = Draw(random: random.split(), agents: agents, hasNamespace: hasNamespace)
      draw.fill(milliseconds: seconds * 1000)
      steps = draw.steps.sorted { $0.at < $1.at }
    } while killCount * 3 < seconds - 3
  }

  /// One attempt.
  private struct Draw {
    var random: SeededRandom
    let agents: Int
    let hasNamespace: Bool
    var steps: [(at: Int, action: Action)] = []
    /// When a target, a relay, or the whole network is left alone again.
    private var busyUntil: [Target: Int] = [:]
    private var partitionedUntil: [Int: Int] = [:]
    private var allPartitionedUntil = 0

    init(random: SeededRandom, agents: Int, hasNamespace: Bool) {
      self.random = random
      self.agents = agents
      self.hasNamespace = hasNamespace
    }

    mutating func fill(milliseconds: Int) {
      var now = 3000
      while now < milliseconds {
        draw(now, end: milliseconds)
        now += Int.random(in: 200...1400, using: &random)
      }
    }

    private mutating func draw(_ now: Int, end: Int) {
      let agent = Int.random(in: 0..<agents, using: &random)
      // Most absences are short; one in five is long enough for rows to be spooled.
      let isLong = Int.random(in: 0..<5, using: &random) == 0
      let absence = Int.random(in: isLong ? 6000...9000 : 50...2500, using: &random)
      let until = min(now + absence, end)
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<42: pair(.agent(agent), now, until, .kill(.agent(agent)), .start(.agent(agent)))
      case 42..<60: pair(.aggregator, now, until, .kill(.aggregator), .start(.aggregator))
      case 60..<68: pair(.agent(agent), now, until, .terminate(.agent(agent)), .start(.agent(agent)))
      case 68..<71: pair(.aggregator, now, until, .terminate(.aggregator), .start(.aggregator))
      case 71..<78: pair(.aggregator, now, until, .stall(.aggregator), .resume(.aggregator))
      case 78..<84: pair(.agent(agent), now, until, .stall(.agent(agent)), .resume(.agent(agent)))
      case 84..<95:
        guard now >= partitionedUntil[agent] ?? 0 else { return }
        partitionedUntil[agent] = until + 500
        let drops = Bool.random(using: &random)
        steps += [(now, .partition(agent)), (until, .heal(agent, drops: drops))]
      default:
        guard hasNamespace, now >= allPartitionedUntil else { return }
        allPartitionedUntil = until + 500
        steps += [(now, .partitionAll), (until, .healAll)]
      }
    }

    private mutating func pair(_ target: Target, _ now: Int, _ until: Int, _ first: Action, _ then: Action) {
      guard now >= busyUntil[target] ?? 0 else { return }
      busyUntil[target] = until + 150
      steps += [(now, first), (until, then)]
    }
  }
}
