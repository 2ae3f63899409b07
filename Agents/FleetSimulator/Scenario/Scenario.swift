import BongsuModel

/// What happens to a simulated nation, as a scenario file describes it: what its factories work on, what is broken from
/// the start, and events in the order of time. Names are not resolved yet; see ``ScenarioPlan``.
struct Scenario: Hashable, Sendable {
  var name = ""
  /// What the reader should look for, free text.
  var about = ""
  var mixes: [FactoryMix] = []
  var failures = Failures()
  var events: [ScenarioEvent] = []

  /// What a factory's nodes work on. Shares are thousandths and add up to 1000.
  struct FactoryMix: Hashable, Sendable {
    /// Its id, or the beginning of it up to a hyphen; `*` for all factories that no other entry names.
    var factory = "*"
    var trainingPermille = 680
    var inferencePermille = 180
    var idlePermille = 140
    /// Nodes of one training job, which step together; `nil`: 8 to 512, drawn for each job.
    var jobNodes: Int?
    var line = 0
  }

  /// What is broken without an event.
  struct Failures: Hashable, Sendable {
    /// Share of GPUs that never answer, thousandths of a percent.
    var gpusPerHundredThousand = 0
    /// Share of nodes that vanish in each minute, thousandths of a percent, and how long they stay away.
    var nodesPerHundredThousandAndMinute = 0
    var downMilliseconds: Int64 = 60_000
  }
}

/// One event: at an instant, something happens to a share of some nodes.
struct ScenarioEvent: Hashable, Sendable {
  /// After the start of the run.
  var atMilliseconds: Int64
  /// Share of the target, thousandths of a percent.
  var perHundredThousand = 100_000
  var target: ScenarioTarget
  var action: ScenarioAction
  /// The event takes itself back after this long; `nil`: it stays.
  var forMilliseconds: Int64?
  /// As written, for progress.
  var text = ""
  var line = 0
}

/// Which nodes an event is about.
struct ScenarioTarget: Hashable, Sendable {
  enum Kind: String, Hashable, Sendable, CaseIterable {
    /// Whatever carries the name: a factory first, then an allocation.
    case any
    case all
    case factory
    case hall
    case rack
    case allocation
    case node
  }

  var kind: Kind
  /// `FACTORY`, `FACTORY/HALL`, `FACTORY/HALL/RACK`, an allocation's path or a node; empty for ``Kind/all``.
  var name: String
}

/// What happens. Durations are milliseconds, shares of power thousandths.
enum ScenarioAction: Hashable, Sendable {
  /// GPU power becomes this share of what it would be, in a straight line.
  case power(permille: Int, over: Int64)
  /// GPU power goes to this place between idle and limit, whatever the job does.
  case ramp(toPermille: Int, over: Int64)
  /// Both of the above end.
  case normal(over: Int64)
  /// The node ends without a word, with all that is in its memory.
  case vanish
  /// It starts again.
  case comeBack
  /// The node works on and cannot reach the aggregator.
  case loseNetwork
  case regainNetwork
  /// The connection breaks again and again.
  case flap(every: Int64)
  /// The node's wall clock is off by this much.
  case clock(offset: Int64)
  /// GPUs stop answering, and answer again.
  case failGPUs
  case healGPUs

  /// What takes it back after a while; `nil` when nothing can.
  var opposite: ScenarioAction? {
    switch self {
    case .power, .ramp: .normal(over: 0)
    case .vanish: .comeBack
    case .loseNetwork: .regainNetwork
    case .clock: .clock(offset: 0)
    case .failGPUs: .healGPUs
    case .flap, .normal, .comeBack, .regainNetwork, .healGPUs: nil
    }
  }
}
