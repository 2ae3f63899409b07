// Cost of the rollup per sample, and of closing a tick.
//
//     rollup-bench <fleet.yaml> <ticks> [nodes = all] [sketches 1|0 = 1]
//
// Topology: one thread, one shard, the nodes of the fleet (planned halls included) in random order, one row of 14 metrics
// per node and tick, drawn from 64 rows per node size, so that rows come from the cache as they do after decoding. Prints
// CPU time; `hash` is the nation's last power and the sum of all outcomes, so nothing can be optimised away:
//
//     nodes gpus samples add_ns_per_sample close_ms_per_tick levels_ms_per_tick load_ms plan_ms hash

import BongsuFleet
import BongsuModel
import BongsuRollup
import Glibc

/// CPU seconds of this process.
func cpuSeconds() -> Double {
  var time = timespec()
  // SAFETY: the structure outlives the call that fills it.
  unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// A generator whose sequence is the same in every run.
struct FixedRandom: RandomNumberGenerator {
  var state: UInt64 = 1
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ (state >> 29)
  }
}

let metrics: [MetricID] = [
  .gpuPower, .gpuPowerMin, .gpuPowerMax, .gpuPowerLimit, .gpuEnergy, .gpuUtilization, .gpuMemoryUtilization,
  .gpuMemoryUsed, .gpuTemperature, .gpuMemoryTemperature, .gpuSMClock, .gpuMemoryClock, .gpuClockEventReasons,
  .gpuPCIeTransmit,
]

func reading(_ metric: MetricID, _ random: inout FixedRandom) -> Int64 {
  switch metric {
  case .gpuPower, .gpuPowerMin, .gpuPowerMax: Int64.random(in: 200_000...1_000_000, using: &random)
  case .gpuPowerLimit: 1_000_000
  case .gpuUtilization, .gpuMemoryUtilization: Int64.random(in: 0...1000, using: &random)
  case .gpuMemoryUsed: Int64.random(in: 1_000_000...190_000_000, using: &random)
  case .gpuTemperature, .gpuMemoryTemperature: Int64.random(in: 300...850, using: &random)
  case .gpuSMClock, .gpuMemoryClock: Int64.random(in: 1200...1980, using: &random)
  case .gpuClockEventReasons: 4
  default: Int64.random(in: 0...1_000_000, using: &random)
  }
}

func layout(gpus: Int) throws -> RowLayout {
  try RowLayout(
    interval: .second, columns: metrics.map { MetricCatalogue.metric($0)! },
    devices: (0..<gpus).map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\($0)", model: "") })
}

func run() throws {
  let arguments = CommandLine.arguments
  guard arguments.count >= 3, let ticks = Int(arguments[2]), ticks > 0 else {
    print("usage: rollup-bench <fleet.yaml> <ticks> [nodes] [sketches 1|0]")
    exit(2)
  }
  let nodeLimit = arguments.count > 3 ? Int(arguments[3]) ?? .max : .max
  let keepsSketches = arguments.count > 4 ? arguments[4] != "0" : true
  let begin = cpuSeconds()
  let tree = try FleetFile(path: arguments[1], options: FleetOptions(demoInService: true)).usableTree()
  let loaded = cpuSeconds()
  let plan = RollupPlan(tree)
  let planned = cpuSeconds()

  var random = FixedRandom()
  let start = Tick(unixMilliseconds: 1_790_000_000_000)
  var shard = ShardRollup(plan, first: start, keepsSketches: keepsSketches)
  var levels = LevelRollup(plan)
  let nodes = Array(tree.nodes.shuffled(using: &random).prefix(nodeLimit))
  let sizes = Set(nodes.map(\.gpus)).sorted()
  let layouts = try sizes.map { try layout(gpus: $0) }
  let rows = sizes.map { gpus in
    (0..<64).map { _ in metrics.flatMap { metric in (0..<gpus).map { _ in reading(metric, &random) } } }
  }
  let sizeOfNode = nodes.map { sizes.firstIndex(of: $0.gpus)! }
  let members = nodes.indices.map { shard.join(nodes[$0].id, layout: layouts[sizeOfNode[$0]]) }

  var frame = LeafFrame(tick: start)
  var (adding, closing, forming) = (0.0, 0.0, 0.0)
  var hash: Int64 = 0
  for step in 0..<ticks {
    let tick = start.advanced(by: step, of: .second)
    let begin = cpuSeconds()
    for index in nodes.indices {
      let row = rows[sizeOfNode[index]][(index &+ step) & 63]
      hash &+= shard.add(members[index], at: tick, row: row.span) == .added ? 1 : -1_000_000_000
    }
    let added = cpuSeconds()
    shard.close(into: &frame)
    let closed = cpuSeconds()
    hash ^= levels.close([frame]).nation.totalMilliwatts(0)
    forming += cpuSeconds() - closed
    closing += closed - added
    adding += added - begin
  }
  let gpus = nodes.reduce(0) { $0 + $1.gpus }
  let samples = gpus * metrics.count * ticks
  func milliseconds(_ seconds: Double) -> Double { (seconds * 1_000_000).rounded() / 1000 }
  print("nodes gpus samples add_ns_per_sample close_ms_per_tick levels_ms_per_tick load_ms plan_ms hash")
  print(
    nodes.count, gpus, samples, (adding / Double(samples) * 1e11).rounded() / 100,
    milliseconds(closing / Double(ticks)), milliseconds(forming / Double(ticks)), milliseconds(loaded - begin),
    milliseconds(planned - loaded), hash)
}

try run()
