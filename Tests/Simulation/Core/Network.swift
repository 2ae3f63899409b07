import BongsuTestKit
import BongsuWire

/// One connection: two queues of frames that keep their order, until it breaks.
final class Link {
  struct Frame {
    let due: Int64
    let bytes: [UInt8]
  }

  let machine: Int
  /// Its name at the aggregator; a new one when the transport reconnects by itself.
  var connection: ConnectionID
  var toAggregator: [Frame] = []
  var toAgent: [Frame] = []
  /// The agent has given it up; frames on the way may still arrive.
  var isAbandoned = false
  /// The aggregator has closed it, or its process ended.
  var isClosed = false
  /// Frames are held until then.
  var upBlockedUntil: Int64 = 0
  var downBlockedUntil: Int64 = 0
  var latency: Int64

  init(machine: Int, connection: ConnectionID, latency: Int64) {
    self.machine = machine
    self.connection = connection
    self.latency = latency
  }
}

/// All connections between the agents and the aggregator.
final class Network {
  private(set) var links: [Link] = []
  private var nextConnection: UInt64 = 1
  private var random: SeededRandom
  /// Frames in flight above which a sender is told that its queue is full.
  static let queueMax = 48
  /// Chance that a frame is mangled, in thousandths.
  var mangledPermille = 0
  /// Greatest delay of new connections.
  var latencyMax: Int64 = 60

  init(seed: UInt64) { random = SeededRandom(seed: seed) }

  func connect(machine: Int) -> Link {
    let link = Link(
      machine: machine, connection: newConnection(), latency: Int64.random(in: 1...latencyMax, using: &random))
    links.append(link)
    return link
  }

  func newConnection() -> ConnectionID {
    defer { nextConnection += 1 }
    return ConnectionID(rawValue: nextConnection)
  }

  /// Puts a frame on its way; `false` when the queue is full.
  func send(_ bytes: [UInt8], over link: Link, up: Bool, now: Int64) -> Bool {
    let queue = up ? link.toAggregator : link.toAgent
    guard queue.count < Self.queueMax else { return false }
    let frame = Link.Frame(due: now + link.latency, bytes: mangle(bytes))
    if up { link.toAggregator.append(frame) } else { link.toAgent.append(frame) }
    return true
  }

  private func mangle(_ bytes: [UInt8]) -> [UInt8] {
    guard mangledPermille > 0, Int.random(in: 0..<1000, using: &random) < mangledPermille else { return bytes }
    // A frame that no decoder takes: what is left of one that went through a broken proxy.
    return [0xFF]
  }

  /// The next frame that has arrived at the aggregator over `link`.
  func arrivedAtAggregator(_ link: Link, now: Int64) -> [UInt8]? {
    guard !link.isClosed, now >= link.upBlockedUntil, let first = link.toAggregator.first, first.due <= now else {
      return nil
    }
    link.toAggregator.removeFirst()
    return first.bytes
  }

  func arrivedAtAgent(_ link: Link, now: Int64) -> [UInt8]? {
    guard !link.isAbandoned, now >= link.downBlockedUntil, let first = link.toAgent.first, first.due <= now else {
      return nil
    }
    link.toAgent.removeFirst()
    return first.bytes
  }

  /// The agent gives a connection up. What it has sent arrives, in part or not at all.
  func abandon(_ link: Link) {
    link.isAbandoned = true
    link.toAggregator.removeLast(Int.random(in: 0...link.toAggregator.count, using: &random))
  }

  /// A connection breaks without either side being told; the transport reconnects by itself under another name.
  func breakSilently(_ link: Link) {
    link.toAgent.removeAll()
    link.toAggregator.removeLast(Int.random(in: 0...link.toAggregator.count, using: &random))
    if Bool.random(using: &random) { link.connection = newConnection() } else { link.isClosed = true }
  }

  /// The aggregator's process ended.
  func aggregatorEnded() {
    for link in links where !link.isClosed { breakSilently(link) }
  }

  func forgetDead() {
    links.removeAll { $0.isAbandoned && ($0.toAggregator.isEmpty || $0.isClosed) }
  }
}
