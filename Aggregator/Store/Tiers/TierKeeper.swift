public import BongsuModel
public import BongsuRollup
internal import BongsuThreads

/// Forms the minutes of the tiers from stored rows: new ones once their last tick is closed, older ones again when late
/// rows have come. Packs hours that are over.
///
/// Thread rule: ``work(closedThrough:now:minutesMax:)`` from one thread at a time, which it blocks; data-plane threads never
/// call it.
public final class TierKeeper: Sendable {
  public let store: TierStore
  private let rows: RowSource
  private let fleet: Fleet
  private let retention: TierRetention
  private let formed: @Sendable (Tick) -> Void
  private let stays: @Sendable (Tick, RawLosses) -> Void
  private let state: ThreadLock<State>

  /// The fleet that minutes are formed by: what it makes of nodes, and the bytes by which it is known again.
  public struct Fleet: Sendable {
    public let plan: RollupPlan
    /// Kept beside the minutes; empty: it is not, and minutes are formed again by the fleet of then.
    public let bytes: [UInt8]
    /// Reads the bytes of another fleet that were kept.
    public let read: @Sendable (_ bytes: [UInt8]) throws -> RollupPlan

    public init(_ plan: RollupPlan, bytes: [UInt8], read: @escaping @Sendable (_ bytes: [UInt8]) throws -> RollupPlan) {
      self.plan = plan
      self.bytes = bytes
      self.read = read
    }
  }

  /// A fleet with its number and the memory that levels need.
  private struct Former {
    let number: Int64
    let plan: RollupPlan
    var levels: LevelRollup

    init(_ number: Int64, _ plan: RollupPlan) {
      self.number = number
      self.plan = plan
      levels = LevelRollup(plan)
    }
  }

  private struct State {
    /// By the present fleet; `nil` before its number is known.
    var present: Former?
    /// By another one, that a minute needed last.
    var past: Former?
    /// What the minute that was formed again last has left, and what the newest of all has.
    var last: (minute: Int64, carry: RollupCarry)?
    var newest: (minute: Int64, carry: RollupCarry)?
    var formed = 0
    /// Minutes with late rows that were not formed again, since what they are made of is no longer kept.
    var refused = 0
  }

  /// How long late rows are gathered before a minute is formed again, milliseconds.
  public static let coalescingMilliseconds: Int64 = 20_000
  /// Nodes whose rows are held at a time.
  private static let batchNodes = 512
  /// Distance of the minutes whose carry is kept, so that an old minute is formed without reading far back.
  private static let carryMilliseconds: Int64 = 600_000

  /// Where rows come from: ``RawHistory/forEachRun(_:_:)``, in the selection's order.
  public typealias RowSource =
    @Sendable (_ selection: RawSelection, _ body: (RawRun) throws -> Bool) throws -> RawLosses

  /// - Parameters:
  ///   - formed: called after a minute was stored, with its end, on the thread that works; must be quick.
  ///   - stays: called where a minute is not formed anew although it was asked for, since raw rows of it are lost: with
  ///     its end and what is lost, once for the minutes of an hour; on the thread that works, must be quick.
  public init(
    store: TierStore, fleet: Fleet, retention: TierRetention = TierRetention(),
    formed: @escaping @Sendable (_ minute: Tick) -> Void = { _ in },
    stays: @escaping @Sendable (_ minute: Tick, _ losses: RawLosses) -> Void = { _, _ in }, rows: @escaping RowSource
  ) {
    self.store = store
    self.retention = retention
    self.formed = formed
    self.stays = stays
    self.rows = rows
    self.fleet = fleet
    state = ThreadLock(State())
  }

  /// The same for a fleet that never changes.
  public convenience init(
    store: TierStore, plan: RollupPlan, retention: TierRetention = TierRetention(),
    formed: @escaping @Sendable (_ minute: Tick) -> Void = { _ in },
    stays: @escaping @Sendable (_ minute: Tick, _ losses: RawLosses) -> Void = { _, _ in }, rows: @escaping RowSource
  ) {
    self.init(
      store: store, fleet: Fleet(plan, bytes: []) { _ in plan }, retention: retention, formed: formed, stays: stays,
      rows: rows)
  }

  /// Minutes formed since the start.
  public var formedMinutes: Int { state.withLock { $0.formed } }

  /// Minutes that late rows asked for after their time, since the start: none, unless retention was shortened.
  public var refusedMinutes: Int { state.withLock { $0.refused } }

  /// Does what is due.
  ///
  /// - Parameters:
  ///   - closedThrough: the newest closed tick whose rows are on disk and noted; `nil`: nothing new is formed.
  ///   - now: the time by which late rows have waited.
  ///   - minutesMax: how many minutes are formed at most; those that are left come with the next call.
  /// - Returns: how many minutes were formed; less than `minutesMax`: nothing is left until another minute
  ///   closes or late rows come.
  @discardableResult
  public func work(closedThrough: Tick?, now: Tick, minutesMax: Int = 8) throws -> Int {
    try state.withLock { state in
      var formed = 0
      while formed < minutesMax {
        let floor = store.lateFloor
        let newest = try store.newestMinute()?.unixMilliseconds
        let dirty = try store.dirtyMinutes()
        if let newest, state.newest == nil { state.newest = (newest, try carry(before: newest + 60_000, &state)) }
        let heard = state.newest?.carry.newestTick?.unixMilliseconds ?? .min
        if let oldest = dirty.first, oldest.minute < floor + 60_000 {
          state.refused += try store.dropMarks(before: floor)
          continue
        }
        guard let minute = Self.next(newest, heard, dirty, closedThrough, now, floor) else { break }
        try form(minute, dirty.first { $0.minute == minute }, &state)
        formed += 1
      }
      if formed == 0, let newest = try store.newestMinute() {
        try pack(before: newest.unixMilliseconds)
        try store.expire(retention, now: now, fleet: try present(&state).number)
        try store.shrink()
      }
      state.formed += formed
      return formed
    }
  }

  /// What comes next: the minute after the newest, so that history keeps up with time, then what is late, oldest first.
  private static func next(
    _ newest: Int64?, _ heard: Int64, _ dirty: [TierStore.Dirty], _ closedThrough: Tick?, _ now: Tick, _ floor: Int64
  ) -> Int64? {
    let closed = closedThrough.map { $0.unixMilliseconds.flooredDivision(by: 60_000) * 60_000 } ?? .min
    guard let newest else {
      guard let first = dirty.first, first.minute <= closed else { return nil }
      return first.minute
    }
    // Minutes without rows are formed too, since silent nodes are estimated and missed. After days without anything the
    // next minute with rows is gone to at once.
    var candidate = max(newest, floor) + 60_000
    if let ahead = dirty.first(where: { $0.minute > newest }), candidate < ahead.minute,
      heard < candidate - idleMilliseconds
    {
      candidate = ahead.minute
    }
    if candidate <= closed { return candidate }
    return dirty.first { $0.minute <= newest && $0.since <= now.unixMilliseconds - coalescingMilliseconds }?.minute
  }

  /// After that long without a row nothing is estimated.
  private static let idleMilliseconds: Int64 = 7_200_000

  private func form(_ minute: Int64, _ asked: TierStore.Dirty?, _ state: inout State) throws {
    let carry = try carry(before: minute, &state)
    var former = try former(of: minute, restates: asked?.restates ?? false, &state)
    let (formed, left, losses) = try rollup(minute, after: carry, &former, &state)
    put(former, &state)
    let heard = left.newestTick?.unixMilliseconds ?? .min
    var about = TierStore.Circumstances(
      fingerprint: left.fingerprint, fleet: former.number, mark: asked?.mark,
      continues: heard > minute - Self.idleMilliseconds)
    if minute % Self.carryMilliseconds == 0 { about.carry = left }
    // What was formed of all rows is not replaced by what is left of them.
    let isNew = try store.storedMinutes(minute...minute).isEmpty
    if isNew || !losses.hasLostRows {
      try store.replace(formed, former.plan, about)
    } else {
      if let asked { try store.clear(asked.mark, of: minute) }
      if store.noteStays(minute) { stays(formed.end, losses) }
    }
    self.formed(formed.end)
    // Apart, so that new minutes between old ones do not make these search for what came before them.
    if minute >= state.newest?.minute ?? .min { state.newest = (minute, left) } else { state.last = (minute, left) }
  }

  /// What forms a minute: the fleet that it was formed by before, unless it is restated or that is not known any more.
  private func former(of minute: Int64, restates: Bool, _ state: inout State) throws -> Former {
    let present = try present(&state)
    guard !restates, let number = try store.fleet(ofMinute: minute), number != present.number else { return present }
    if let past = state.past, past.number == number { return past }
    guard let bytes = try store.fleet(number), let plan = try? fleet.read(bytes) else { return present }
    return Former(number, plan)
  }

  private func present(_ state: inout State) throws -> Former {
    if let present = state.present { return present }
    let present = Former(try store.fleetNumber(fleet.bytes), fleet.plan)
    state.present = present
    return present
  }

  private func put(_ former: Former, _ state: inout State) {
    if former.number == state.present?.number { state.present = former } else { state.past = former }
  }

  /// Asks for all minutes that end after `first` to be formed anew by the present fleet, as far as they were formed by
  /// another one and their raw rows are still kept; ``work(closedThrough:now:minutesMax:)`` does it. Any thread.
  ///
  /// - Parameter isSure: gets the number of minutes before anything is changed.
  /// - Returns: how many they are; 0: nothing was changed.
  public func restate(from first: Tick, isSure: (_ minutes: Int) throws -> Void = { _ in }) throws -> Int {
    let number = try store.fleetNumber(fleet.bytes)
    let count = try store.restatable(from: first, fleet: number)
    guard count > 0 else { return 0 }
    try isSure(count)
    return try store.restate(from: first, fleet: number)
  }

  /// What the minutes before leave to a minute: known, or found by going on from the newest one that was kept.
  private func carry(before minute: Int64, _ state: inout State) throws -> RollupCarry {
    let wanted = minute - 60_000
    if let last = state.last, last.minute == wanted { return last.carry }
    if let newest = state.newest, newest.minute == wanted { return newest.carry }
    var carry = RollupCarry()
    var from = Int64.min + 1
    if let kept = try store.carry(upTo: wanted) {
      carry = kept.carry
      from = kept.minute + 1
    }
    guard from <= wanted else { return carry }
    for between in try store.storedMinutes(from...wanted) {
      var former = try former(of: between, restates: false, &state)
      carry = try rollup(between, after: carry, &former, &state).carry
      put(former, &state)
    }
    return carry
  }

  /// Forms a minute from its rows.
  private func rollup(
    _ end: Int64, after carry: RollupCarry, _ former: inout Former, _ state: inout State
  ) throws -> (minute: StoredMinute, carry: RollupCarry, losses: RawLosses) {
    var rollup = MinuteRollup(former.plan, to: Tick(unixMilliseconds: end), after: carry)
    let ticks = MinuteRollup.ticks(to: Tick(unixMilliseconds: end))
    let start = Tick(unixMilliseconds: ticks.lowerBound.unixMilliseconds - carry.reachMilliseconds)
    var batch: [NodeRows] = []
    var selection = RawSelection(ticks: start...ticks.upperBound)
    selection.order = .controllersFirst
    let losses = try rows(selection) { run in
      if batch.last?.id != run.node {
        if batch.count == Self.batchNodes {
          rollup.add(batch)
          batch.removeAll(keepingCapacity: true)
        }
        batch.append(NodeRows(run.node, []))
      }
      batch[batch.count - 1].runs.append(run.rows)
      return true
    }
    if !batch.isEmpty { rollup.add(batch) }
    let (minute, left) = rollup.finish(&former.levels)
    return (minute, left, losses)
  }

  private func pack(before frontier: Int64) throws {
    // A minute after the hour its late rows have mostly come.
    for entry in try store.unpacked(before: frontier - 60_000, limit: 64) {
      try store.pack(hour: entry.hour, entry.level, part: entry.part)
    }
  }
}

extension RawRun {
  /// The run row by row, as rollups take it. All columns are in it.
  var rows: NodeRows.Run {
    let width = layout.width
    let count = ticks.count
    var turned = [Int64](repeating: 0, count: words.count)
    for value in 0..<width {
      for row in 0..<count { turned[row &* width &+ value] = words[value &* count &+ row] }
    }
    return NodeRows.Run(layout: layout, ticks: ticks, words: turned)
  }
}
