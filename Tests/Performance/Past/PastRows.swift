import BongsuFleet
import BongsuModel
import BongsuStore
import Synchronization

/// Rows of some nodes of a fleet, made as they are asked for, minute after minute: twelve values a GPU and second, each
/// walking at random around its last reading.
final class PastRows: Sendable {
  struct Member: Sendable {
    let id: NodeID
    let factory: Int
    let layout: RowLayout
  }

  /// What every GPU says each second.
  static let metrics: [MetricID] = [
    .gpuPower, .gpuPowerLimit, .gpuEnergy, .gpuUtilization, .gpuMemoryUtilization, .gpuMemoryUsed, .gpuTemperature,
    .gpuMemoryTemperature, .gpuSMClock, .gpuMemoryClock, .gpuClockEventReasons, .gpuPCIeTransmit,
  ]

  let nodes: [Member]
  let gpus: Int
  private let state: Mutex<State>

  private struct State {
    var random = Walk()
    /// The newest row of each node.
    var rows: [[Int64]]
    var seconds = 0.0
  }

  /// A generator whose sequence is the same in every run.
  private struct Walk: RandomNumberGenerator {
    var state: UInt64 = 1
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state ^ (state >> 29)
    }
  }

  /// `nodes` of the fleet, spread over all of it.
  init(_ tree: FleetTree, nodes wanted: Int) {
    let every = max(1, tree.nodes.count / wanted)
    let columns = PastRows.metrics.compactMap { MetricCatalogue.metric($0) }
    nodes = stride(from: 0, to: tree.nodes.count, by: every).prefix(wanted).compactMap { index in
      let node = tree.nodes[index]
      let devices = (0..<node.gpus).map {
        Device(scope: .gpu, index: UInt16($0), key: "GPU-\(node.id.name)-\($0)", model: "")
      }
      guard let layout = try? RowLayout(interval: .second, columns: columns, devices: devices) else { return nil }
      return Member(id: node.id, factory: tree.factory(of: node.rack).position, layout: layout)
    }
    .sorted { $0.id < $1.id }
    gpus = nodes.reduce(0) { $0 + $1.layout.deviceCount(of: 0) }
    var random = Walk()
    state = Mutex(
      State(
        rows: nodes.map { node in
          node.layout.columns.indices.flatMap { column in
            (0..<node.layout.deviceCount(of: column)).map { _ in
              Self.first(node.layout.columns[column].id, &random)
            }
          }
        }))
  }

  /// CPU seconds that making rows took.
  var seconds: Double { state.withLock { $0.seconds } }

  /// Hands over a minute, node by node. Asked for in order of time.
  func visit(_ selection: RawSelection, _ body: (RawRun) throws -> Bool) throws -> RawLosses {
    let first = selection.ticks.lowerBound.unixMilliseconds
    let count = Int((selection.ticks.upperBound.unixMilliseconds - first + 1) / 1000)
    let ticks = (1...count).map { Tick(unixMilliseconds: first - 1 + Int64($0) * 1000) }
    for number in nodes.indices {
      let run = state.withLock { state in
        let begin = Clock.cpuSeconds()
        defer { state.seconds += Clock.cpuSeconds() - begin }
        return Self.run(nodes[number], ticks, &state.rows[number], &state.random)
      }
      guard try body(run) else { break }
    }
    return RawLosses()
  }

  private static func run(_ node: Member, _ ticks: [Tick], _ row: inout [Int64], _ random: inout Walk) -> RawRun {
    var words = [Int64](repeating: 0, count: ticks.count * row.count)
    for column in node.layout.columns.indices {
      let metric = node.layout.columns[column].id
      for place in node.layout.range(of: column) {
        for index in ticks.indices {
          row[place] = next(metric, row[place], random.next())
          words[place * ticks.count + index] = row[place]
        }
      }
    }
    return RawRun(
      node: node.id, layout: node.layout, columns: Array(node.layout.columns.indices), ticks: ticks, words: words)
  }

  private static func first(_ metric: MetricID, _ random: inout Walk) -> Int64 {
    switch metric {
    case .gpuPower: Int64.random(in: 200_000...900_000, using: &random)
    case .gpuPowerLimit: 1_000_000
    case .gpuUtilization, .gpuMemoryUtilization: Int64.random(in: 0...1000, using: &random)
    case .gpuMemoryUsed: Int64.random(in: 1_000_000...190_000_000, using: &random)
    case .gpuTemperature, .gpuMemoryTemperature: Int64.random(in: 300...850, using: &random)
    case .gpuSMClock, .gpuMemoryClock: 1800
    case .gpuClockEventReasons: 4
    default: Int64.random(in: 0...1_000_000, using: &random)
    }
  }

  private static func next(_ metric: MetricID, _ last: Int64, _ bits: UInt64) -> Int64 {
    let step = Int64(bits >> 40 & 255) - 128
    func bounded(_ value: Int64, _ range: ClosedRange<Int64>) -> Int64 {
      min(max(value, range.lowerBound), range.upperBound)
    }
    switch metric {
    case .gpuPower: return bounded(last + step * 120, 90_000...1_000_000)
    case .gpuEnergy: return last + 500_000 + step * 1000
    case .gpuUtilization, .gpuMemoryUtilization: return bounded(last + step / 8, 0...1000)
    case .gpuMemoryUsed: return bits >> 50 & 31 == 0 ? bounded(last + step * 2048, 1_000_000...190_000_000) : last
    case .gpuTemperature, .gpuMemoryTemperature: return bounded(last + step / 64, 250...950)
    case .gpuSMClock: return bits >> 50 & 15 == 0 ? 1800 + step / 8 : last
    case .gpuPCIeTransmit: return last + (bits >> 40 & 4095 == 0 ? 0 : Int64(bits >> 48 & 8191))
    default: return last
    }
  }
}
