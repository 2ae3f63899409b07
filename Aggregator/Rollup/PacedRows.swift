import BongsuModel

/// Rows of a member whose interval is not the rollup's.
///
/// A *fast* member's rows within one rollup tick are averaged, so that it weighs as much as any other; counters keep
/// their newest value and flags are united. A *slow* member's row is held and counts again in every rollup tick until the
/// next one is due.
struct PacedRows: Sendable {
  /// The held row, or the mean while it is formed.
  var row: [Int64]
  /// Rollup tick of the row; `Int64.min` when there is none.
  var tick = Int64.min
  /// Tick of the newest row that went in.
  var newest = Int64.min
  /// Whether the row's energy was counted already.
  var hasSpentEnergy = false
  private var sums: [Int64]
  private var counts: [Int64]

  init(width: Int) {
    row = [Int64](repeating: RowKernel.absent, count: width)
    sums = [Int64](repeating: 0, count: width)
    counts = [Int64](repeating: 0, count: width)
  }

  /// Begins the mean of rollup tick `tick`.
  mutating func begin(_ tick: Int64) {
    self.tick = tick
    for index in row.indices {
      row[index] = RowKernel.absent
      sums[index] = 0
      counts[index] = 0
    }
  }

  /// Takes one more row into the mean.
  mutating func add(_ next: borrowing Span<Int64>, _ program: RowProgram) {
    for column in program.columns {
      for index in Int(column.offset)..<Int(column.offset + column.count) where next[index] != RowKernel.absent {
        sums[index] &+= next[index]
        counts[index] &+= 1
      }
    }
    for range in program.counterRanges {
      for index in range where next[index] != RowKernel.absent { row[index] = next[index] }
    }
    for range in program.bitmaskRanges {
      for index in range where next[index] != RowKernel.absent {
        row[index] = (row[index] == RowKernel.absent ? 0 : row[index]) | next[index]
      }
    }
  }

  /// Turns sums into means, rounded to nearest.
  mutating func finish(_ program: RowProgram) {
    for column in program.columns {
      for index in Int(column.offset)..<Int(column.offset + column.count) where counts[index] > 0 {
        let half = sums[index] < 0 ? -(counts[index] / 2) : counts[index] / 2
        row[index] = (sums[index] &+ half) / counts[index]
      }
    }
  }

  /// Replaces the held row of a slow member.
  mutating func hold(_ next: borrowing Span<Int64>, at tick: Int64) {
    self.tick = tick
    newest = tick
    hasSpentEnergy = false
    for index in row.indices { row[index] = next[index] }
  }
}

extension ShardRollup {
  /// Adds a row of a fast or slow member.
  mutating func addPaced(_ position: Int, at time: Int64, _ row: borrowing Span<Int64>) -> RowOutcome {
    let index = Int(members[position].pacedIndex)
    let tick = (time + step - 1).flooredDivision(by: step) * step
    guard tick > closedThrough else {
      noteSeen(position, tick)
      return .late
    }
    guard isOpen(tick) else { return .ahead }
    guard time > paced[index].newest else { return .duplicate }
    if members[position].pace == .slow {
      _ = markDelivered(position, tick)
      paced[index].hold(row, at: tick)
      return .added
    }
    if paced[index].tick != tick {
      flushFast(index)
      paced[index].begin(tick)
    }
    paced[index].newest = time
    paced[index].add(row, programs[members[position].program])
    if time == tick { flushFast(index) }
    return .added
  }

  /// Gives a slow member that has joined the row that it sent before the first tick; its energy was counted there.
  mutating func hold(_ member: MemberNumber, at tick: Tick, row: borrowing Span<Int64>) {
    let position = Int(member.position)
    guard members[position].pace == .slow else { return }
    let index = Int(members[position].pacedIndex)
    paced[index].hold(row, at: (tick.unixMilliseconds + step - 1).flooredDivision(by: step) * step)
    paced[index].hasSpentEnergy = true
  }

  /// Counts what paced members have for the tick that is about to close.
  mutating func flushPaced(at time: Int64) {
    for index in pacedMembers.indices {
      let position = Int(pacedMembers[index])
      switch members[position].pace {
      case .even: break
      case .fast: if paced[index].tick == time { flushFast(index) }
      case .slow:
        let held = paced[index]
        guard held.tick != .min, held.tick <= time, time - held.tick < members[position].intervalMilliseconds else {
          continue
        }
        count(position, at: time, held.row.span, spendsEnergy: !held.hasSpentEnergy)
        paced[index].hasSpentEnergy = true
      }
    }
  }

  /// Counts the mean of a fast member's rows so far.
  mutating func flushFast(_ index: Int) {
    let tick = paced[index].tick
    guard tick != .min else { return }
    paced[index].tick = .min
    let position = Int(pacedMembers[index])
    guard tick > closedThrough, markDelivered(position, tick) else { return }
    paced[index].finish(programs[members[position].program])
    let row = paced[index].row
    count(position, at: tick, row.span, spendsEnergy: true)
  }
}
