import BongsuModel

/// Power that a machine's controller (BMC) gives for a node whose own agent has none.
///
/// The agent and whoever asks the controller are two programs with two keys, so the controller has a name of its own,
/// `NODE.bmc`. It is no node: it is in no cell, is not waited for and not estimated. A reading stands for the node's
/// ticks after its own until the next one, for two intervals at most; a node's own meter always goes before it.
///
///     controller   r ─ ─ ─ ─ ─ ─ ─ r            r: a reading, every 10 s by default
///     node         t t t t t t t t t t t        each tick has the newest reading of an earlier tick
///
/// So it does not matter which of the two is first with the rows of one tick, and minutes that are formed from stored rows
/// have what the live ones had. A reading that comes later than a tick after its own changes nothing that was counted.
extension ShardRollup {
  /// Takes a controller's row. One without a reading lets the one before it stand until it is too old.
  mutating func noteController(_ position: Int, at time: Int64, _ row: borrowing Span<Int64>) -> RowOutcome {
    let member = members[position]
    let offsets = programs[member.program].offsets
    if let reading = ControllerReading(row, offsets, at: time, interval: member.intervalMilliseconds) {
      note(reading, Int(member.controller))
    }
    return .added
  }

  /// Takes all that is known of the controller of `machine`, before the machine's rows come.
  mutating func note(_ readings: ControllerReadings, of machine: NodeID) {
    let number = Int(controllerNumber(of: machine))
    controllers[number] = readings
  }

  /// Takes a row of a controller that an earlier process stored.
  mutating func recallController(of machine: NodeID, layout: RowLayout, _ row: borrowing Span<Int64>, at tick: Tick) {
    let interval = Int64(layout.interval.milliseconds)
    let offsets = RowProgram(layout).offsets
    guard let reading = ControllerReading(row, offsets, at: tick.unixMilliseconds, interval: interval) else { return }
    let number = Int(controllerNumber(of: machine))
    note(reading, number)
  }

  private mutating func note(_ reading: ControllerReading, _ number: Int) {
    controllers[number].note(reading)
    controllers[number].forget(
      before: closedThrough &- Limits.controllerMemoryMilliseconds, limit: Limits.controllerReadingsMax)
  }

  /// Where the readings of the controller of `machine` are.
  mutating func controllerNumber(of machine: NodeID) -> Int32 {
    if let known = controllerNumbers[machine] { return known }
    let number = Int32(controllers.count)
    controllers.append(ControllerReadings())
    controllerNumbers[machine] = number
    if let node = memberByID[machine], !members[Int(node.position)].isController {
      members[Int(node.position)].controller = number
    }
    return number
  }

  /// What the controller of a member's machine says of `time`; `nil` without one.
  @inline(__always)
  func controllerMilliwatts(_ position: Int, at time: Int64) -> Int64? {
    let number = Int(members[position].controller)
    return number < 0 ? nil : controllers[number].milliwatts(at: time)
  }
}
