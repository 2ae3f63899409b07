import BongsuDevices
import BongsuModel
import BongsuRecordLog
import BongsuSampling
import BongsuSpool
import BongsuTestKit
import BongsuWire
import Foundation

/// A day of an agent in minutes: the sampler with its threads, NVML over the stand-in for the driver's library, the queue,
/// the session and the spool on a disk, all as in the agent, on ticks that come as fast as they are taken.
///
/// Every two hours are alike: the aggregator is away for twenty minutes, a GPU is lost for ten, the driver is let go for
/// maintenance once and reports errors. So what the process holds at the end of one is to be what it held at the end of
/// an earlier one; a byte lost with each tick would be 84 KiB by the end of a day, a descriptor lost with each event six.
final class AgentDay {
  private static let cycleSeconds = 7200
  private static let origin: Int64 = 1_790_000_000_000
  /// What may come of the allocator's own ways, in the memory of heap and stacks.
  static let growthKibibytesMax = 512

  private let node = NodeID("day")!
  private let library: FakeNVML
  private let source: String
  private let ticks = SteppedTicks()
  private let queue: RowQueue
  private let sampler: Sampler
  private var agent: DayAgent
  private var aggregator = DayAggregator()
  private var session: AgentSession
  private var peer = AggregatorSession(node: NodeNumber(rawValue: 1))
  private var greeted: UInt64 = 0
  private var now: Int64 = 1_000_000
  private var values: [Int64] = []
  private(set) var sampled = 0

  init(work: String) throws {
    library = try FakeNVML()
    let nvml = NVMLSource(library: library.path, interval: .second)
    source = nvml.name
    guard let queue = RowQueue(onEvent: { _ in }) else { throw DrillOptions.Invalid("no descriptors left") }
    self.queue = queue
    sampler = Sampler(
      SourceSet([nvml, HostSource(sysfsRoot: "/sys")]), interval: .second, ticks: ticks, sink: queue)
    agent = DayAgent(spool: Spool(disk: try PosixDisk(path: work + "/day-spool"), salt: 7))
    let layout = try RowLayout(
      interval: .second, columns: [MetricID.agentResidentMemory].compactMap(MetricCatalogue.metric), devices: [.node])
    let settings = AgentSessionSettings(
      node: node, incarnation: Incarnation(rawValue: 1), boot: BootID(rawValue: 1), agentVersion: "day")
    session = AgentSession(
      settings: settings, state: AgentState(stream: StreamID(rawValue: 1), leaseEnd: 1), layouts: [], layout: layout,
      lastTick: nil, reading: ClockReading(unixMilliseconds: Self.origin + now, boottimeMilliseconds: now), seed: 1,
      host: &agent)
    sampler.start()
  }

  /// Runs `hours`, two at a time, and prints a line for each two.
  ///
  /// - Returns: what is wrong.
  func run(hours: Int) -> [String] {
    var costs: [ProcessCost] = []
    print("hours  rows      resident kB  anonymous kB  descriptors  threads  spills")
    for cycle in 0..<hours / 2 {
      for second in 0..<Self.cycleSeconds { turn(second) }
      let cost = ProcessCost.now()
      costs.append(cost)
      print(
        "\(2 * cycle + 2)\t\(sampled)\t\(cost.residentKibibytes)\t\(cost.anonymousKibibytes)\t\(cost.descriptors)\t"
          + "\(cost.threads)\t\(agent.spills)")
    }
    // On a machine that is busy otherwise a call of the driver may take too long now and then, and has a thread beside it
    // until it returns. What stays is a leak.
    for _ in 0..<300 where costs.count > 1 && costs[costs.count - 1].threads > costs[1].threads {
      Thread.sleep(forTimeInterval: 0.1)
      costs[costs.count - 1] = ProcessCost.now()
    }
    ticks.end()
    sampler.stop()
    return complaints(costs)
  }

  private func complaints(_ costs: [ProcessCost]) -> [String] {
    var complaints: [String] = []
    guard costs.count >= 3, let last = costs.last else { return ["a day has at least six hours here"] }
    // The first two hours fill pools and grow buffers to their size.
    let early = costs[1]
    if last.anonymousKibibytes > early.anonymousKibibytes + Self.growthKibibytesMax {
      complaints.append(
        "memory has grown from \(early.anonymousKibibytes) to \(last.anonymousKibibytes) KiB since the fourth hour")
    }
    if last.descriptors > early.descriptors {
      complaints.append("descriptors: \(early.descriptors), \(last.descriptors)")
    }
    if last.threads > early.threads { complaints.append("threads: \(early.threads), \(last.threads)") }
    let accounted = aggregator.rows + Int(aggregator.lostRows)
    if accounted + session.pendingRowCount < sampled {
      complaints.append("\(sampled) rows were sampled, \(accounted) are stored or recorded as lost")
    }
    if aggregator.lostRows > 0 { complaints.append("\(aggregator.lostRows) rows are lost") }
    if agent.spills < costs.count * 10 { complaints.append("the spool was used \(agent.spills) times only") }
    return complaints
  }

  // MARK: One second

  private var reading: ClockReading {
    ClockReading(unixMilliseconds: Self.origin + now, boottimeMilliseconds: now)
  }

  private func turn(_ second: Int) {
    disturb(second)
    now += 1000
    let isAway = (1200..<2400).contains(second)
    if isAway, agent.isConnected { session.connectionLost(reading, &agent) }
    if let stamp = session.dueTick(reading) {
      // The queue wakes its reader by the real boot clock: at once for what is past.
      ticks.grant(SampleStamp(tick: stamp.tick, boottimeMilliseconds: 0))
      awaitRow(stamp)
      sampled += 1
    }
    session.advance(reading, &agent)
    isAway ? agent.frames.removeAll(keepingCapacity: true) : exchange()
  }

  /// What happens to the driver of the GPUs within two hours.
  private func disturb(_ second: Int) {
    switch second {
    case 600, 4000: library.set("xid", 31, gpu: 2)
    case 3000: library.set("lost", 1, gpu: 5)
    case 3600: library.set("lost", 0, gpu: 5)
    case 5000: _ = sampler.setReleased(true, source: source)
    case 5300: _ = sampler.setReleased(false, source: source)
    case 6000: library.set("reload", 1)
    default: break
    }
  }

  private func awaitRow(_ stamp: TickStamp) {
    while true {
      while let item = queue.next(&values) {
        switch item {
        case .layout(let layout): session.change(layout: layout, &agent)
        case .lost: preconditionFailure("the queue is emptied at every tick")
        case .row:
          let row = values
          session.sample(stamp, row: row.span, reading, &agent)
          return
        }
      }
      var entry = pollfd(fd: queue.wakeDescriptor, events: Int16(POLLIN), revents: 0)
      // SAFETY: one live entry.
      _ = unsafe poll(&entry, 1, 1000)
    }
  }

  private func exchange() {
    let settings = AggregatorSessionSettings()
    var rounds = 0
    while agent.isConnected, !agent.frames.isEmpty || !aggregator.answers.isEmpty, rounds < 1000 {
      rounds += 1
      let at = AggregatorInstant(
        monotonicMilliseconds: now, unixMilliseconds: Self.origin + now, committedRecord: aggregator.records)
      let connection = ConnectionID(rawValue: agent.connections)
      let frames = agent.frames
      agent.frames.removeAll(keepingCapacity: true)
      for frame in frames {
        let span = frame.span
        // SAFETY: bytes have no padding.
        if greeted != connection.rawValue {
          greeted = connection.rawValue
          unsafe peer.hello(span.bytes, over: connection, identity: node, at, settings, &aggregator)
        } else {
          unsafe try? peer.receive(span.bytes, over: connection, at, settings, &aggregator)
        }
      }
      peer.sweep(
        AggregatorInstant(
          monotonicMilliseconds: now, unixMilliseconds: Self.origin + now, committedRecord: aggregator.records),
        settings, &aggregator)
      let answers = aggregator.answers
      aggregator.answers.removeAll(keepingCapacity: true)
      for answer in answers {
        // SAFETY: bytes have no padding.
        unsafe session.receive(answer.span.bytes, reading, &agent)
      }
    }
  }
}
