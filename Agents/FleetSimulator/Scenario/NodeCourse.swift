import BongsuDevices
import BongsuModel

/// Where one simulated node stands in its scenario: what is to be done next, and what holds now.
///
/// A plain value: time comes in, actions come out.
struct NodeCourse {
  private let instructions: [ScenarioPlan.Instruction]
  private var next = 0
  private let outages: RandomOutages

  /// Whether the machine runs, and whether it reaches the aggregator.
  private(set) var isRunning = true
  private(set) var hasNetwork = true
  /// By how much its wall clock is off, milliseconds.
  private(set) var clockOffset: Int64 = 0
  /// What its readings look like.
  private(set) var readings = ReadingChange()

  /// What the node's agent has to do about a change.
  enum Step: Equatable {
    case vanish
    case comeBack
    case loseNetwork
    case regainNetwork
    case breakConnection
  }

  init(_ instructions: [ScenarioPlan.Instruction] = [], outages: RandomOutages = RandomOutages()) {
    self.instructions = instructions
    self.outages = outages
  }

  /// Lets time pass up to `elapsed` milliseconds after the start of the run; `steps` are in order.
  mutating func advance(to elapsed: Int64, _ steps: (Step) -> Void) {
    while next < instructions.count, instructions[next].atMilliseconds <= elapsed {
      take(instructions[next], steps)
      next += 1
    }
    guard outages.isAny else { return }
    let isDown = outages.isDown(at: elapsed)
    if isDown != isRandomlyDown {
      isRandomlyDown = isDown
      setRunning(!isDown, steps)
    }
  }

  private var isRandomlyDown = false

  /// Makes of a row what the scenario says; see ``ReadingChange``.
  mutating func changeReadings(
    _ row: inout MutableSpan<Int64>, _ configuration: SimulatedNode.Configuration, at elapsed: Int64,
    intervalMilliseconds: Int64
  ) {
    readings.apply(to: &row, configuration, at: elapsed, intervalMilliseconds: intervalMilliseconds)
  }

  private mutating func take(_ instruction: ScenarioPlan.Instruction, _ steps: (Step) -> Void) {
    let at = instruction.atMilliseconds
    switch instruction.action {
    case .power(let permille, let over): readings.scale(toPermille: permille, at: at, over: over)
    case .ramp(let permille, let over): readings.ramp(toPermille: permille, at: at, over: over)
    case .normal(let over): readings.normal(at: at, over: over)
    case .vanish: setRunning(false, steps)
    case .comeBack: setRunning(true, steps)
    case .loseNetwork, .regainNetwork:
      let regains = instruction.action == .regainNetwork
      guard hasNetwork != regains else { return }
      hasNetwork = regains
      steps(regains ? .regainNetwork : .loseNetwork)
    case .breakConnection: steps(.breakConnection)
    case .clock(let offset): clockOffset = offset
    case .failGPUs(let mask): readings.failed |= mask
    case .healGPUs(let mask): readings.failed &= ~mask
    }
  }

  private mutating func setRunning(_ runs: Bool, _ steps: (Step) -> Void) {
    guard runs != isRunning else { return }
    isRunning = runs
    steps(runs ? .comeBack : .vanish)
  }
}

/// Nodes that vanish at random and come back: a pure function of seed and time.
struct RandomOutages: Hashable, Sendable {
  var perHundredThousandAndMinute = 0
  var downMilliseconds: Int64 = 60_000
  var seed: UInt64 = 0

  var isAny: Bool { perHundredThousandAndMinute > 0 }

  /// Whether the node is away at this time after the start of the run.
  func isDown(at elapsed: Int64) -> Bool {
    // An outage began in this minute or in an earlier one, if it still lasts.
    var minute = elapsed / 60_000
    while minute >= 0, (minute + 1) * 60_000 + downMilliseconds > elapsed {
      let roll = ScenarioPlan.mixed(seed, UInt64(minute))
      if Int(roll % 100_000) < perHundredThousandAndMinute {
        let start = minute * 60_000 + Int64(roll >> 32) % 60_000
        if (start..<start + downMilliseconds).contains(elapsed) { return true }
      }
      minute -= 1
    }
    return false
  }
}
