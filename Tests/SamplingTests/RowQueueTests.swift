import BongsuModel
import Glibc
import Testing

@testable import BongsuSampling

@Suite("row queue")
struct RowQueueTests {
  private func layout(_ gpus: Int) throws -> RowLayout {
    try RowLayout(
      interval: .second, columns: [MetricID.gpuPower].compactMap(MetricCatalogue.metric),
      devices: (0..<gpus).map { Device(scope: .gpu, index: UInt16($0), key: "GPU-\($0)", model: "") })
  }

  private func queue() throws -> RowQueue {
    let queue = RowQueue { _ in }
    return try #require(queue)
  }

  private func stamp(_ number: Int) -> SampleStamp {
    SampleStamp(tick: Tick(unixMilliseconds: Int64(number) * 1000), boottimeMilliseconds: Int64(number))
  }

  private func put(_ queue: RowQueue, _ number: Int, width: Int = 2) {
    let values = [Int64](repeating: Int64(number), count: width)
    queue.take(stamp(number), values: values.span)
  }

  /// Whether the descriptor is or becomes readable within `milliseconds`.
  private func isReadable(_ queue: RowQueue, within milliseconds: Int32 = 100) -> Bool {
    var entry = pollfd(fd: queue.wakeDescriptor, events: Int16(POLLIN), revents: 0)
    // SAFETY: one live entry.
    return unsafe poll(&entry, 1, milliseconds) == 1
  }

  @Test("the consumer is woken a fixed time after the tick, once for all rows that wait; what is late wakes it at once")
  func delayed() throws {
    let queue = try #require(RowQueue(delayNanoseconds: 300_000_000) { _ in })
    let values: [Int64] = [1, 2]
    func take() -> Int64 {
      let now = SystemClock.boottime() / 1_000_000
      queue.take(SampleStamp(tick: Tick(unixMilliseconds: now), boottimeMilliseconds: now), values: values.span)
      return now
    }
    let tick = take()
    _ = take()
    #expect(isReadable(queue, within: 20_000))
    #expect(SystemClock.boottime() / 1_000_000 - tick >= 300)
    var taken: [Int64] = []
    #expect(queue.next(&taken) != nil && queue.next(&taken) != nil && queue.next(&taken) == nil)
    #expect(!isReadable(queue, within: 0))
    // Taken before its time: the timer that comes afterwards wakes once and is quiet then.
    _ = take()
    #expect(queue.next(&taken) != nil && queue.next(&taken) == nil)
    _ = isReadable(queue, within: 1000)
    #expect(queue.next(&taken) == nil && !isReadable(queue, within: 0))
    put(queue, 1)
    #expect(isReadable(queue, within: 20_000))
  }

  @Test("rows and layouts come out in order with their values, and the descriptor tells when there are some")
  func order() throws {
    let queue = try queue()
    #expect(!isReadable(queue))
    let first = try layout(2)
    queue.layoutChanged(first)
    put(queue, 1)
    put(queue, 2)
    #expect(isReadable(queue))
    var values: [Int64] = []
    #expect(queue.next(&values) == .layout(first))
    #expect(queue.next(&values) == .row(stamp(1)) && values == [1, 1])
    #expect(queue.next(&values) == .row(stamp(2)) && values == [2, 2])
    #expect(isReadable(queue))
    #expect(queue.next(&values) == nil)
    #expect(!isReadable(queue))
    let second = try layout(3)
    queue.layoutChanged(second)
    #expect(!isReadable(queue), "a layout alone is nothing to send")
    put(queue, 3, width: 3)
    #expect(isReadable(queue))
    #expect(queue.next(&values) == .layout(second))
    #expect(queue.next(&values) == .row(stamp(3)) && values == [3, 3, 3])
    #expect(queue.next(&values) == nil)
  }

  @Test("a consumer that falls behind is told which ticks were lost, between those before and those after")
  func overflow() throws {
    let queue = try queue()
    let capacity = SamplingLimits.queuedRowsMax
    for number in 0..<capacity + 10 { put(queue, number) }
    var values: [Int64] = []
    for number in 0..<capacity { #expect(queue.next(&values) == .row(stamp(number))) }
    // Room again, but what is lost goes on until the consumer knows.
    put(queue, capacity + 10)
    let next = try layout(1)
    queue.layoutChanged(next)
    put(queue, capacity + 11, width: 1)
    #expect(queue.next(&values) == .lost(first: stamp(capacity), last: stamp(capacity + 11), count: 12))
    #expect(queue.next(&values) == .layout(next))
    #expect(queue.next(&values) == nil)
    put(queue, capacity + 12, width: 1)
    #expect(queue.next(&values) == .row(stamp(capacity + 12)) && values == [Int64(capacity + 12)])
  }

  @Test("over two threads every row arrives once and in order, or is named as lost")
  func threads() throws {
    let queue = try queue()
    let total = 20_000
    let producer = WorkerThread(name: "producer") {
      for number in 0..<total {
        let values = [Int64](repeating: Int64(number), count: 2)
        queue.take(
          SampleStamp(tick: Tick(unixMilliseconds: Int64(number) * 1000), boottimeMilliseconds: Int64(number)),
          values: values.span)
        if number % 32 == 0 { usleep(50) }
      }
    }
    var expected: Int64 = 0
    var values: [Int64] = []
    while expected < total {
      switch queue.next(&values) {
      case .row(let stamp):
        guard stamp.boottimeMilliseconds == expected, values == [expected, expected] else {
          Issue.record("row \(stamp.boottimeMilliseconds) with \(values) in place of \(expected)")
          return
        }
        expected += 1
      case .lost(let first, let last, let count):
        guard first.boottimeMilliseconds == expected, last.boottimeMilliseconds == expected + Int64(count) - 1 else {
          Issue.record("lost \(first)...\(last), \(count), in place of \(expected)")
          return
        }
        expected += Int64(count)
      case .layout, nil:
        var entry = pollfd(fd: queue.wakeDescriptor, events: Int16(POLLIN), revents: 0)
        // SAFETY: one live entry.
        guard unsafe poll(&entry, 1, 5000) == 1 else {
          Issue.record("no wake-up after row \(expected)")
          return
        }
      }
    }
    producer.join()
    #expect(expected == total)
  }
}
