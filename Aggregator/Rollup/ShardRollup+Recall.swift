import BongsuFleet
public import BongsuModel

extension ShardRollup {
  /// Takes the newest row that an earlier process stored of a restored member, newer than what its state was saved with:
  /// what its silence is estimated from until it delivers again. The row is counted nowhere, its tick is over.
  ///
  /// Members that are not restored, and rows older than their newest, are left alone. A controller's row is recalled
  /// before its node's, in whose power it is. `row` has the shape of `layout`.
  public mutating func recall(_ id: NodeID, layout: RowLayout, _ row: borrowing Span<Int64>, at tick: Tick) {
    if let machine = plan.tree.node(controlledBy: id) {
      return recallController(of: machine, layout: layout, row, at: tick)
    }
    guard let number = memberByID[id] else { return }
    let position = Int(number.position)
    let program = RowProgram(layout)
    let time = tick.unixMilliseconds
    guard members[position].meter == nil, program.offsets.gpus == members[position].gpus,
      time > members[position].lastTick
    else { return }
    let activity = RowKernel.activity(
      row, program.offsets, busyMilliwatts: members[position].traits.busyMilliwatts)
    let power = NodePower(
      activity, members[position], machine: controllerMilliwatts(position, at: time), at: time)
    remember(position, activity, power, at: time)
  }
}
