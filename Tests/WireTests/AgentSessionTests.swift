import BongsuModel
import BongsuTestKit
import Testing

@testable import BongsuWire

@Suite("The agent's session")
struct AgentSessionTests {
  @Test("live blocks are based on the one before; the first and every 60th stand alone")
  func keyframes() {
    var rig = AgentRig()
    rig.welcome()
    for second in 1...130 {
      rig.run(seconds: 1)
      rig.acknowledge(SequenceSet(floor: UInt64(second)))
    }
    let blocks = rig.bench.blocks
    #expect(blocks.map(\.firstSequence) == Array(1...130))
    let keyframes = blocks.filter { if case .standalone = $0.anchor { true } else { false } }.map(\.firstSequence)
    #expect(keyframes == [1, 61, 121])
    #expect(blocks.allSatisfy { !$0.isLate })
  }

  @Test("while acknowledgements arrive nothing is spooled and the state is written once")
  func noWrites() {
    var rig = AgentRig()
    rig.welcome()
    let state = rig.bench.state
    for second in 1...60 {
      rig.run(seconds: 1)
      if second % 4 == 0 { rig.acknowledge(SequenceSet(floor: UInt64(second))) }
    }
    #expect(rig.bench.spooled.isEmpty)
    // The anchor of the boot is stored with the Welcome, nothing after.
    #expect(rig.bench.state == state)
    #expect(rig.session.pendingRowCount == 0)
  }

  @Test("rows that wait five seconds go to the spool together, and drain behind live rows after the Welcome")
  func spoolAndDrain() {
    var rig = AgentRig()
    rig.run(seconds: 30)
    #expect(rig.bench.spooled.map(\.run.rowCount).allSatisfy { $0 >= 5 })
    #expect(rig.bench.blocks.isEmpty)
    rig.welcome()
    rig.run(seconds: 1)
    let blocks = rig.bench.blocks
    let live = blocks.filter { !$0.isLate }
    let late = blocks.filter(\.isLate)
    #expect(live.last?.firstSequence == 31)
    #expect(late.map(\.firstSequence) == late.map(\.firstSequence).sorted())
    #expect(late.first?.firstSequence == 1)
    #expect(blocks.reduce(0) { $0 + $1.rowCount } == 31)
  }

  @Test("credit bounds what is in flight, and late blocks take half of it at most")
  func credit() {
    var rig = AgentRig { settings in
      settings.spillAfter = 1_000_000
      settings.pendingRowsMax = 500
      settings.silenceTimeout = 1_000_000
    }
    rig.welcome(credit: 30)
    rig.run(seconds: 100)
    #expect(rig.bench.blocks.count == 30)
    rig.acknowledge(SequenceSet(floor: 10))
    // Twenty are still on their way, and the Ack grants 64.
    #expect(rig.bench.blocks.count == 30 + 44)
  }

  @Test("rows that were spooled for want of credit are drained although later rows went live")
  func spooledUnsent() {
    var rig = AgentRig { settings in
      settings.pendingRowsMax = 8
      settings.silenceTimeout = 1_000_000
    }
    rig.welcome(credit: 30)
    rig.run(seconds: 45)
    #expect(rig.bench.blocks.count == 30)
    rig.acknowledge(SequenceSet(floor: 30))
    rig.run(seconds: 3)
    let numbers = rig.bench.blocks.flatMap { Array($0.firstSequence...$0.lastSequence) }
    #expect(Set(numbers) == Set(1...48))
  }

  @Test("a rejected base is sent again standing alone, and a keyframe follows")
  func baseMissing() {
    var rig = AgentRig()
    rig.welcome()
    rig.run(seconds: 3)
    var bytes: [UInt8] = []
    Reject(firstSequence: 3, rowCount: 1, reason: .baseMissing, valueSeen: 2, limit: 0).encode(into: &bytes)
    rig.receive(bytes)
    rig.run(seconds: 1)
    let blocks = rig.bench.blocks.suffix(2)
    #expect(blocks.map(\.firstSequence) == [3, 4])
    #expect(blocks.map(\.isLate) == [true, false])
    #expect(blocks.allSatisfy { if case .standalone = $0.anchor { true } else { false } })
  }

  @Test("a block that was passed over is sent again once a later one is acknowledged")
  func passedOver() {
    var rig = AgentRig()
    rig.welcome()
    rig.run(seconds: 4)
    var durable = SequenceSet(floor: 1)
    _ = durable.insert(3, 4)
    rig.acknowledge(durable)
    #expect(rig.bench.blocks.last?.firstSequence == 2)
    #expect(rig.bench.blocks.last?.isLate == true)
  }

  @Test("numbers go on from the lease after an unclean end, and the rest of it is given to a gap")
  func lease() {
    var rig = AgentRig { $0.leaseRows = 100 }
    rig.run(seconds: 3)
    #expect(rig.bench.state?.leaseEnd == 101)
    var next = AgentRig(state: rig.bench.state)
    next.run(seconds: 1)
    next.welcome(durable: SequenceSet(floor: 2))
    #expect(next.bench.hellos.first?.firstSequenceOfRun == 101)
    let gap = next.bench.gaps.first
    #expect(gap?.firstSequence == 3 && gap?.lastSequence == 100 && gap?.reason == .agentRestart)
    #expect(gap?.lastTick != nil)
    #expect(next.bench.blocks.map(\.firstSequence) == [101])
  }

  @Test("rows lost before they came to the session get numbers, and a gap record takes their place")
  func lostBeforeNumbering() {
    var rig = AgentRig { $0.leaseRows = 100 }
    rig.welcome()
    rig.run(seconds: 2)
    func stamp(_ second: Int64) -> TickStamp {
      TickStamp(
        tick: Tick(unixMilliseconds: AgentRig.origin + second * 1000), boottimeMilliseconds: second * 1000,
        isProvisional: false, isCorrected: false)
    }
    var host = rig.bench
    rig.now += 10_000
    rig.session.lose(sampled: 10, from: stamp(103), through: stamp(112), rig.reading, &host)
    let gap = rig.bench.gaps.last
    #expect(gap?.reason == .agentBusy && gap?.firstSequence == 3 && gap?.lastSequence == 12)
    #expect(gap?.firstTick == stamp(103).tick && gap?.lastTick == stamp(112).tick)
    rig.run(seconds: 1)
    #expect(rig.bench.blocks.last?.firstSequence == 13)
    #expect(rig.session.unacknowledgedGapCount == 1)
    rig.acknowledge(SequenceSet(floor: 13))
    #expect(rig.session.unacknowledgedGapCount == 0)
    // More than a lease at once: every number is leased before it is given.
    rig.session.lose(sampled: 250, from: stamp(114), through: stamp(363), rig.reading, &host)
    #expect(rig.bench.gaps.reduce(0) { $0 + $1.lastSequence - $1.firstSequence + 1 } == 260)
    #expect((rig.bench.state?.leaseEnd ?? 0) >= 264)
    rig.session.lose(sampled: 0, from: stamp(1), through: stamp(1), rig.reading, &host)
    #expect(rig.session.unacknowledgedGapCount > 0)
  }

  @Test("row after row lost while nothing is acknowledged stays recorded by its reason, however many there are")
  func manyLosses() {
    var rig = AgentRig {
      $0.pendingRowsMax = 4
      $0.silenceTimeout = 1_000_000
    }
    rig.welcome()
    rig.bench.takesSpill = false
    rig.run(seconds: 200)
    #expect(rig.session.unacknowledgedGapCount <= 64)
    let lost = rig.bench.notices.reduce(UInt64(0)) { sum, notice in
      guard case .lost(let gap) = notice, gap.reason == .spoolUnavailable else { return sum }
      return sum + gap.lastSequence - gap.firstSequence + 1
    }
    #expect(lost == 196, "every row but those in memory is said to be lost, once")
    rig.bench.sent.removeAll()
    rig.idle(milliseconds: 31_000)
    #expect(rig.bench.gaps.contains { $0.firstSequence == 64 && $0.lastSequence == 196 })
  }

  @Test("rows lost before any answer are recorded under their final labels")
  func lostWhileProvisional() {
    var rig = AgentRig()
    var host = rig.bench
    let early = TickStamp(
      tick: Tick(unixMilliseconds: 5000), boottimeMilliseconds: 101_000, isProvisional: true, isCorrected: false)
    rig.session.lose(sampled: 1, from: early, through: early, rig.reading, &host)
    rig.welcome()
    #expect(rig.bench.gaps.count == 1 && rig.bench.gaps[0].firstTick == nil)
    rig.session.lose(sampled: 1, from: early, through: early, rig.reading, &host)
    #expect(rig.bench.gaps.last?.firstTick == Tick(unixMilliseconds: AgentRig.origin + 101_000))
  }

  @Test("a clean end spools what is left and the next run goes on without a gap")
  func cleanEnd() {
    var rig = AgentRig()
    rig.run(seconds: 3)
    var host = rig.bench
    rig.session.shutDown(&host)
    #expect(rig.bench.state?.leaseEnd == 4)
    #expect(rig.bench.spooled.map(\.run.rowCount) == [3])
  }

  @Test("when neither spool nor lease can be written a new stream begins, and rows in memory keep their order")
  func noDisk() {
    var rig = AgentRig { $0.leaseRows = 4 }
    rig.bench.takesState = false
    rig.bench.takesSpill = false
    rig.run(seconds: 10)
    #expect(rig.session.state.stream != StreamID(rawValue: 77))
    rig.welcome()
    #expect(rig.bench.blocks.map(\.firstSequence) == Array(1...UInt64(rig.session.pendingRowCount)))
  }

  @Test("an old copy of the numbering starts a new stream and gives its spooled rows to a gap")
  func oldCopy() {
    var rig = AgentRig()
    rig.run(seconds: 12)
    let spooled = rig.bench.spooled.count
    #expect(spooled > 0)
    rig.welcome(requiresNewStream: true)
    #expect(rig.session.state.stream != StreamID(rawValue: 77) && rig.bench.spooled.isEmpty)
    rig.run(seconds: 40)
    rig.welcome()
    #expect(rig.bench.gaps.last?.reason == .newStream)
  }

  @Test("silence, a refusal and a missing Welcome end the session, and the way back is spread")
  func endings() {
    var waits: Set<Int64> = []
    for seed in 0..<8 {
      var rig = AgentRig { $0.incarnation = Incarnation(rawValue: UInt64(seed)) }
      rig.idle(milliseconds: 0)
      rig.idle(milliseconds: 10_000)
      guard case .disconnected(.noWelcome(let after), let wait)? = rig.bench.notices.last else {
        Issue.record("expected a disconnection, got \(rig.bench.notices)")
        continue
      }
      #expect(after == 10_000 && wait <= 4000)
      waits.insert(wait)
    }
    var rig = AgentRig()
    rig.welcome()
    rig.idle(milliseconds: 15_000)
    #expect(rig.bench.notices.contains { if case .disconnected(.silence, _) = $0 { true } else { false } })
    rig.now += 40_000
    rig.welcome()
    var bytes: [UInt8] = []
    Refuse(reason: .revoked, retryAfterMilliseconds: 60_000, detail: "").encode(into: &bytes)
    rig.receive(bytes)
    guard case .disconnected(.refused, let wait)? = rig.bench.notices.last else {
      Issue.record("expected a refusal, got \(rig.bench.notices)")
      return
    }
    #expect(wait >= 60_000)
  }

  @Test("ten thousand agents that lose their connection at once come back spread, ever wider while it fails")
  func spread() {
    /// How many come back in each tenth of a second, after the first loss and after the third.
    var first: [Int64: Int] = [:]
    var third: [Int64: Int] = [:]
    for seed in UInt64(0)..<10_000 {
      var host = AgentBench()
      let settings = AgentSessionSettings(
        node: NodeID("n1")!, incarnation: Incarnation(rawValue: seed), boot: BootID(rawValue: 9), agentVersion: "test")
      var now: Int64 = 100_000
      var reading: ClockReading { ClockReading(unixMilliseconds: AgentRig.origin + now, boottimeMilliseconds: now) }
      var session = AgentSession(
        settings: settings, state: AgentState(stream: StreamID(rawValue: seed), leaseEnd: 1), layouts: [],
        layout: AgentBench.layout, lastTick: nil, reading: reading, seed: seed &* 0x9E37_79B9_7F4A_7C15, host: &host)
      for round in 1...3 {
        session.advance(reading, &host)
        session.connectionLost(reading, &host)
        guard case .disconnected(_, let wait)? = host.notices.last else {
          Issue.record("no disconnection")
          return
        }
        if round == 1 { first[wait / 100, default: 0] += 1 }
        if round == 3 { third[wait / 100, default: 0] += 1 }
        now += wait
      }
    }
    // Evenly over 4 s that is 250 in each tenth of a second, over 16 s 62.
    #expect(first.values.max() ?? .max < 350 && first.count >= 40)
    #expect(third.values.max() ?? .max < 120 && third.count >= 160)
  }

  @Test("garbage from the aggregator is reported and changes nothing")
  func garbage() {
    var rig = AgentRig()
    rig.welcome()
    rig.run(seconds: 2)
    let before = rig.bench.sent.count
    for bytes in [[0xFF], [], [0x26], [0x25, 0, 0, 1, 0, 0, 1]] as [[UInt8]] { rig.receive(bytes) }
    #expect(rig.bench.sent.count == before && rig.session.isEstablished)
    #expect(rig.bench.notices.count { if case .malformedFrame = $0 { true } else { false } } == 4)
  }
}
