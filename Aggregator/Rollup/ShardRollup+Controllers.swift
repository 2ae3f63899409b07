import BongsuModel

/// Power that a machine's controller (BMC) gives for a node whose own agent has none.
///
/// The agent and whoever asks the controller are two programs with two keys, so the controller has a name of its own,
/// `NODE.bmc`. It is no node: it is in no cell, is not waited for and not estimated. Its newest reading stands for the
/// node's power around its tick; a node's own meter always goes before it.
///
///     controller   r ─ ─ ─ ─ ─ ─ ─ r            r: a reading, every 10 s by default
///     node         t t t t t t t t t t t        each row takes the reading known when it comes
///                  └ from one interval before a reading until two after it
extension ShardRollup {
  /// Takes a controller's row. One without a reading lets the one before it stand until it is too old.
  mutating func noteController(_ position: Int, at time: Int64, _ row: borrowing Span<Int64>) -> RowOutcome {
    let offset = programs[members[position].program].offsets.nodePower
    guard offset >= 0, row[offset] != RowKernel.absent, let machine = controlled[Int32(position)],
      let node = memberByID[machine]
    else { return .added }
    let target = Int(node.position)
    let interval = members[position].intervalMilliseconds
    guard time &+ Limits.controllerReadingIntervals &* interval > members[target].controllerUntil else { return .added }
    members[target].controllerMilliwatts = row[offset]
    members[target].controllerFrom = time &- interval
    members[target].controllerUntil = time &+ Limits.controllerReadingIntervals &* interval
    return .added
  }
}
