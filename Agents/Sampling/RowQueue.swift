public import BongsuModel
import CBongsuPlatform
import Glibc

/// Hands rows from the sampler's thread to one other thread, which sleeps in `poll` on ``wakeDescriptor``.
///
/// All nodes sample at the same instant, and none should send at it: the consumer is woken `delay` after the tick of the
/// oldest row that waits (``SendSpread``), by a timer of the kernel, so that it costs no wake-up more.
///
/// Bounded: when the consumer is ``SamplingLimits/queuedRowsMax`` rows behind, rows are dropped until it has taken all that
/// is queued, and the dropped ticks come to it as one ``Item/lost(first:last:count:)`` in their place in the order. Layouts
/// are never dropped. Row memory is swapped, not copied twice, and not allocated while the layout stays.
public final class RowQueue: SampleSink {
  /// What the consumer gets, in the order in which it happened.
  public enum Item: Hashable, Sendable {
    /// The shape of all rows from here on.
    case layout(RowLayout)
    /// A row; its values are in the array given to ``next(_:)``.
    case row(SampleStamp)
    /// Rows that found no room.
    case lost(first: SampleStamp, last: SampleStamp, count: Int)
  }

  private struct Slot {
    var item: Item
    var values: [Int64]
  }

  private struct State {
    var slots: [Slot?]
    var head = 0
    var count = 0
    /// Rows lost since the queue ran full, and the newest layout since.
    var lost: (first: SampleStamp, last: SampleStamp, count: Int)?
    var lateLayout: RowLayout?
    /// Arrays of taken rows, to be filled again.
    var spare: [[Int64]] = []
    var isAwake = false
  }

  /// Becomes readable when there are rows to take and their time has come. ``next(_:)`` makes it unreadable again.
  public let wakeDescriptor: Int32
  private let delayNanoseconds: Int64
  private let state: Guarded<State>
  private let onEvent: @Sendable (SamplingEvent) -> Void

  /// An empty queue that wakes its consumer `delayNanoseconds` after a tick; `onEvent` is called on the sampler's thread
  /// with what there is to say.
  ///
  /// - Returns: `nil` when the process has no descriptors left.
  public init?(delayNanoseconds: Int64 = 0, onEvent: @escaping @Sendable (SamplingEvent) -> Void) {
    precondition(delayNanoseconds >= 0, "a delay of \(delayNanoseconds) ns")
    wakeDescriptor = bongsu_timer_open()
    guard wakeDescriptor >= 0 else { return nil }
    self.delayNanoseconds = delayNanoseconds
    self.onEvent = onEvent
    state = Guarded(State(slots: [Slot?](repeating: nil, count: SamplingLimits.queuedRowsMax)))
  }

  deinit {
    _ = close(wakeDescriptor)
  }

  // MARK: The sampler's side

  /// The layout waits for the row that follows it.
  public func layoutChanged(_ layout: RowLayout) {
    state.withLock { state in
      state.spare.removeAll()
      if state.lost != nil || state.count == state.slots.count {
        state.lateLayout = layout
      } else {
        Self.append(Slot(item: .layout(layout), values: []), &state)
      }
    }
  }

  public func take(_ stamp: SampleStamp, values: Span<Int64>) {
    let wakes = state.withLock { state in
      // Once rows are lost, all are until the consumer has been told: order is worth more than a few rows.
      if state.lost != nil || state.lateLayout != nil || state.count == state.slots.count {
        state.lost = (state.lost?.first ?? stamp, stamp, (state.lost?.count ?? 0) + 1)
      } else {
        var copy = state.spare.popLast() ?? []
        if copy.count != values.count { copy = [Int64](repeating: 0, count: values.count) }
        for index in values.indices { copy[index] = values[index] }
        Self.append(Slot(item: .row(stamp), values: copy), &state)
      }
      return Self.wakes(&state)
    }
    if wakes { wake(stamp) }
  }

  public func report(_ event: SamplingEvent) { onEvent(event) }

  private static func append(_ slot: consuming Slot, _ state: inout State) {
    state.slots[(state.head + state.count) % state.slots.count] = slot
    state.count += 1
  }

  private static func wakes(_ state: inout State) -> Bool {
    defer { state.isAwake = true }
    return !state.isAwake
  }

  private func wake(_ stamp: SampleStamp) {
    let due = stamp.boottimeMilliseconds * 1_000_000 + delayNanoseconds
    let code = bongsu_timer_set(wakeDescriptor, max(due, 1))
    precondition(code == 0, "timerfd_settime: error \(-code)")
  }

  // MARK: The consumer's side

  /// Takes the oldest item. For a row, `values` becomes its values; the array it held is filled again later, so a consumer
  /// that passes the same variable each time causes no allocation.
  ///
  /// - Returns: `nil` when there is nothing, after which ``wakeDescriptor`` tells when there is again.
  public func next(_ values: inout [Int64]) -> Item? {
    state.withLock { state -> Item? in
      guard state.count > 0, let slot = state.slots[state.head] else { return afterLoss(&state) }
      state.slots[state.head] = nil
      state.head = (state.head + 1) % state.slots.count
      state.count -= 1
      if case .row = slot.item {
        if values.count == slot.values.count { state.spare.append(values) }
        values = slot.values
      }
      return slot.item
    }
  }

  /// What stands behind the queued rows: rows lost, then the layout that has come since.
  private func afterLoss(_ state: inout State) -> Item? {
    if let lost = state.lost {
      state.lost = nil
      return .lost(first: lost.first, last: lost.last, count: lost.count)
    }
    if let layout = state.lateLayout {
      state.lateLayout = nil
      return .layout(layout)
    }
    // Within the lock: a time set for what comes next must not be taken along. Also when nothing waits: rows may have
    // been taken before their time came.
    _ = bongsu_timer_drain(wakeDescriptor)
    state.isAwake = false
    return nil
  }
}
