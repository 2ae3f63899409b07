import BongsuModel
import BongsuTestKit
import BongsuWire

extension World {
  /// Lets one misfortune of the scenario happen.
  func strike() {
    // In the order of names: a set's own order differs from run to run.
    let kinds = scenario.faults.sorted { $0.rawValue < $1.rawValue }
    guard let kind = kinds.randomElement(using: &random), let machine = machines.randomElement(using: &random) else {
      return
    }
    note("strike \(kind.rawValue) at \(machine.index)")
    switch kind {
    case .reset: resetConnection(machine)
    case .partition: partition(machine)
    case .mangled: network.mangledPermille = network.mangledPermille == 0 ? Int.random(in: 1...60, using: &random) : 0
    case .agentKill: killAgent(machine)
    case .nodePower: powerFails(machine)
    case .aggregatorKill: if aggregator != nil { aggregatorFails(power: Bool.random(using: &random)) }
    case .aggregatorPower: aggregatorDisk.changesUntilCrash = Int.random(in: 1...40, using: &random)
    case .aggregatorDisk:
      // A machine whose disk fails is often restarted.
      if aggregator != nil, Int.random(in: 0..<3, using: &random) == 0 {
        aggregatorFails(power: Bool.random(using: &random))
      } else {
        troubleAggregatorDisk()
      }
    case .agentDisk: machine.spool.trouble(Int.random(in: 0..<10, using: &random))
    case .spoolLost: loseSpool(machine)
    case .clock: stepClock(machine)
    case .clone: clone(machine)
    case .revoke: revoke(machine)
    case .layout: changeLayout(machine)
    case .stuckDelivery: machine.stuckUntil = now + Int64.random(in: 500...20_000, using: &random)
    case .smallSpool: machine.spool.shrink(to: Int.random(in: 200...2000, using: &random))
    }
  }

  private func resetConnection(_ machine: AgentMachine) {
    guard let link = machine.link else { return }
    if Bool.random(using: &random) {
      network.breakSilently(link)
    } else if machine.run != nil {
      var host = machine
      machine.run?.session.connectionLost(machine.reading, &host)
    }
  }

  private func partition(_ machine: AgentMachine) {
    guard let link = machine.link else { return }
    let end = now + Int64.random(in: 500...40_000, using: &random)
    let direction = Int.random(in: 0..<3, using: &random)
    if direction != 1 { link.upBlockedUntil = end }
    if direction != 0 { link.downBlockedUntil = end }
    if Bool.random(using: &random) { link.latency = Int64.random(in: 1...3000, using: &random) }
  }

  private func killAgent(_ machine: AgentMachine) {
    guard machine.run != nil else { return }
    if Int.random(in: 0..<4, using: &random) == 0 {
      var host = machine
      machine.run?.session.shutDown(&host)
    }
    machine.kill()
    machine.startsAt = now + Int64.random(in: 200...12_000, using: &random)
  }

  private func powerFails(_ machine: AgentMachine) {
    guard !machine.isRetired else { return }
    machine.powerFails()
    if scenario.faults.contains(.clock), Bool.random(using: &random) {
      // A battery is empty: the clock starts in 1970, a year ahead, or somewhat off, until the network sets it.
      let errors: [Int64] = [-now, 31_536_000_000, -3_600_000, 2500, -40_000]
      machine.wallError = errors.randomElement(using: &random) ?? 0
      machine.wallMendsAt = machine.bootedAt + Int64.random(in: 2000...40_000, using: &random)
      machine.noteClockFault()
    }
  }

  private func stepClock(_ machine: AgentMachine) {
    let errors: [Int64] = [
      0, 0, 1500, -1500, 300, -300, 5000, -5000, 3_600_000, -3_600_000, 31_536_000_000, -now + 5000,
    ]
    machine.wallError = errors.randomElement(using: &random) ?? 0
    machine.wallMendsAt = now + Int64.random(in: 1000...60_000, using: &random)
    machine.noteClockFault()
  }

  private func troubleAggregatorDisk() {
    switch Int.random(in: 0..<5, using: &random) {
    case 0: aggregatorDisk.capacityBytes = aggregatorDisk.usedBytes + Int64.random(in: 0...2000, using: &random)
    case 1: aggregatorDisk.writeFailurePermille = Int.random(in: 10...300, using: &random)
    case 2: aggregatorDisk.synchronizeFailurePermille = Int.random(in: 5...100, using: &random)
    case 3: aggregatorDisk.isReadOnly = true
    default: mendAggregatorDisk()
    }
  }

  private func mendAggregatorDisk() {
    aggregatorDisk.capacityBytes = .max
    aggregatorDisk.writeFailurePermille = 0
    aggregatorDisk.synchronizeFailurePermille = 0
    aggregatorDisk.isReadOnly = false
  }

  private func loseSpool(_ machine: AgentMachine) {
    if machine.oldCopies.isEmpty || Int.random(in: 0..<3, using: &random) == 0 {
      machine.oldCopies.append(machine.spool.copy(seed: random.next()))
      return
    }
    guard !machine.isRetired else { return }
    machine.kill()
    machine.loseSpool(
      for: Bool.random(using: &random)
        ? AgentMachine.emptySpool(self, seed: random.next()) : machine.oldCopies[0].copy(seed: random.next()))
    machine.startsAt = now + Int64.random(in: 200...5000, using: &random)
  }

  private func clone(_ machine: AgentMachine) {
    guard !cloned.contains(machine.node), !machine.isRetired else { return }
    let twin = AgentMachine(
      index: machines.count, node: machine.node, id: machine.id, world: self, seed: random.next())
    if Bool.random(using: &random) { twin.spool = machine.spool.copy(seed: random.next()) }
    twin.startsAt = now + Int64.random(in: 0...3000, using: &random)
    cloned.insert(machine.node)
    machines.append(twin)
    for other in machines where other.node == machine.node {
      other.noteTickExcuse("sampled by one of two machines that share a key")
    }
  }

  private func revoke(_ machine: AgentMachine) {
    let isRevoked = !revoked.contains(machine.node)
    if isRevoked { revoked.insert(machine.node) } else { revoked.remove(machine.node) }
    aggregator?.setRevoked(machine.node, isRevoked)
  }

  private func changeLayout(_ machine: AgentMachine) {
    machine.layoutIndex = 1 - machine.layoutIndex
    guard machine.run != nil else { return }
    var host = machine
    machine.run?.session.change(layout: layouts[machine.layoutIndex], &host)
  }

  /// Ends all misfortune.
  func heal() {
    note("heal")
    network.mangledPermille = 0
    for link in network.links {
      link.upBlockedUntil = 0
      link.downBlockedUntil = 0
      link.latency = min(link.latency, 60)
    }
    aggregatorDisk.changesUntilCrash = nil
    mendAggregatorDisk()
    for node in revoked.sorted() { aggregator?.setRevoked(node, false) }
    revoked = []
    for machine in machines {
      machine.spool.mend()
      machine.wallError = 0
      machine.wallMendsAt = .max
      machine.stuckUntil = .min
      if machine.run == nil, machine.startsAt == nil, !machine.isRetired { machine.startsAt = now }
    }
    // Of machines that share a key one is left, as its operator would see to.
    for node in cloned.sorted() {
      for machine in machines.filter({ $0.node == node }).dropFirst() { machine.retire() }
    }
  }
}

extension AgentMachine {
  /// From here on the aggregator may refuse rows of this machine for their ticks.
  func noteTickExcuse(_ reason: String) {
    tickExcuse = reason
    for id in unsettled { excuse(id, reason) }
  }

  func noteClockFault() { hasClockFault = true }

  /// Ends for good; what it still holds goes with it.
  func retire() {
    kill()
    for id in unsettled { excuse(id, "held by a machine that was taken away") }
    unsettled.removeAll()
    spool = ModelSpool()
    startsAt = nil
    isRetired = true
  }
}
