import BongsuDelivery
import BongsuTransport
import BongsuWire
import Synchronization

/// The thread that delivers for all nodes: takes rows at their ticks, runs the sessions, owns sockets and spools.
///
/// Thread rule: ``run()`` on its own thread; the rest from any.
final class Courier: @unchecked Sendable {
  // `@unchecked Sendable`: streams are used by the thread that calls `run` alone; the rest is atomic.
  private let streams: [NodeStream]
  private let log: AgentLog
  private let isStopping = Atomic<Bool>(false)
  private let connected = Atomic<Int>(0)
  private let turnedAt = Atomic<Int64>(ClockReading.now().boottimeMilliseconds)

  /// Longest time between two looks at all sessions, milliseconds.
  private static let sweepMilliseconds: Int64 = 500

  init(_ streams: [NodeStream], log: AgentLog) {
    self.streams = streams
    self.log = log
  }

  /// Asks the thread to end: what is not acknowledged goes to the spools.
  func requestStop() { isStopping.store(true, ordering: .relaxed) }  // a flag of its own

  /// Sessions that stand, as of the last look.
  var connectedCount: Int { connected.load(ordering: .relaxed) }

  /// Since the thread last came by.
  var millisecondsStuck: Int64 { ClockReading.now().boottimeMilliseconds - turnedAt.load(ordering: .relaxed) }

  func run() {
    do {
      var poller = try Poller()
      var sweepAt: Int64 = 0
      while !isStopping.load(ordering: .relaxed) {
        let now = ClockReading.now()
        turnedAt.store(now.boottimeMilliseconds, ordering: .relaxed)
        if now.boottimeMilliseconds >= sweepAt { sweepAt = try sweep(now, &poller) }
        let wait = max(1, sweepAt - ClockReading.now().boottimeMilliseconds)
        guard try poller.wait(timeout: .milliseconds(wait)) > 0 else { continue }
        let arrived = ClockReading.now()
        for event in poller.ready {
          let stream = streams[Int(event.token)]
          try stream.receive(arrived)
          stream.work(arrived)
          try stream.watchIfNew(with: &poller, token: event.token)
        }
      }
    } catch {
      log.error("uplink", "the transport failed: \(error)")
    }
    for stream in streams { stream.shutDown() }
  }

  /// Lets time pass for every session.
  ///
  /// - Returns: when to do so again: at the next tick of any, soon in any case.
  private func sweep(_ now: ClockReading, _ poller: inout Poller) throws -> Int64 {
    var next = Self.sweepMilliseconds
    var count = 0
    for (index, stream) in streams.enumerated() {
      try stream.receive(now)
      stream.work(now)
      try stream.watchIfNew(with: &poller, token: UInt64(index))
      next = min(next, stream.millisecondsToNextTick(now))
      if stream.isConnected { count += 1 }
    }
    connected.store(count, ordering: .relaxed)
    return now.boottimeMilliseconds + max(next, 1)
  }
}
