import BongsuRing
import Glibc
import Synchronization
import Testing

/// Two and more real threads on one ring. Each test names the outcomes that the orderings allow; everything else is
/// forbidden and fails.
///
/// x86 forgives a weakened ordering, the thread sanitizer does not:
/// `swift test -c release --sanitize=thread --filter StressTests`. In release, because only inlined pushes and pops are
/// instrumented; a debug build calls into the standard library for the copy and sees nothing.
@Suite("Ring outcomes", .serialized)
struct RingOutcomeTests {
  /// Eight words that must always be seen together.
  struct Stamp: BitwiseCopyable, Sendable {
    var number: UInt64
    var inverse: UInt64
    var rest: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)

    init(_ number: UInt64) {
      self.number = number
      inverse = ~number
      rest = (number, number, number, number, number, number)
    }

    var isWhole: Bool {
      inverse == ~number && rest.0 == number && rest.1 == number && rest.2 == number && rest.3 == number
        && rest.4 == number && rest.5 == number
    }
  }

  // producer                      consumer                allowed            forbidden
  //   slot[i] = stamp(i)            i' = index            whole stamp i      torn or stale stamp (P1/C1 broken)
  //   index = i + 1                 read slot             next in order      gap, repeat
  //   … reuses slot after pop       index = i' + 1        old value intact   overwritten before read (C2/P2 broken)
  @Test("every element arrives whole, once and in order", arguments: [1, 2, 64], [1, 7, 64])
  func messagePassing(capacity: Int, batch: Int) throws {
    let total: UInt64 = 30_000
    var ring = try SPSCRing<Stamp>(capacity: capacity)
    let writer = TestThread(ring.takeProducer()) { producer in
      var next: UInt64 = 0
      while next < total {
        let stamps = (next..<min(total, next + UInt64(batch))).map(Stamp.init)
        var sent = 0
        while sent < stamps.count {
          let count = producer.tryPush(contentsOf: stamps.span.extracting(sent...))
          if count == 0 { _ = awake({ producer.waitForSpace(timeout: patience) }) }
          sent += count
        }
        next += UInt64(stamps.count)
      }
    }
    var consumer = ring.takeConsumer()
    var room = [Stamp](repeating: Stamp(0), count: batch)
    var expected: UInt64 = 0
    var faults = 0
    while awake({ consumer.waitForElements(timeout: patience) }) == .ready {
      var span = room.mutableSpan
      let count = consumer.tryPop(into: &span)
      for stamp in room.prefix(count) {
        if !stamp.isWhole || stamp.number != expected { faults += 1 }
        expected = stamp.number + 1
      }
    }
    writer.join()
    #expect(faults == 0)
    #expect(expected == total, "the end came before the last element (P3/C3 broken)")
  }

  // ponger                        pinger                  allowed            forbidden
  //   armed = 1, fence              index += 1              woken              asleep with an element in the ring
  //   look: empty                   look: armed?
  //   sleep                         wake
  @Test("nobody sleeps through a wake-up, though both sides park at once after one look")
  func lostWakeUp() throws {
    let rounds: UInt64 = 5_000
    var there = try SPSCRing<UInt64>(capacity: 1)
    var back = try SPSCRing<UInt64>(capacity: 1)
    let ponger = TestThread(Pair(there.takeConsumer(), back.takeProducer())) { ends in
      while awake({ ends.first.waitForElements(timeout: patience, strategy: .parkAtOnce) }) == .ready {
        while let value = ends.first.tryPop() { _ = ends.second.tryPush(value) }
      }
    }
    do {
      var producer = there.takeProducer()
      var consumer = back.takeConsumer()
      for round in 0..<rounds {
        #expect(producer.tryPush(round) == true)
        // A lost wake-up would last until the next push, which never comes.
        #expect(awake({ consumer.waitForElements(timeout: patience, strategy: .parkAtOnce) }) == .ready)
        #expect(consumer.tryPop() == round)
      }
    }
    ponger.join()
  }

  @Test("nobody sleeps in poll with an element in the ring")
  func lostDescriptorWakeUp() throws {
    let total: UInt64 = 20_000
    var ring = try SPSCRing<UInt64>(capacity: 2, descriptors: [.data, .space])
    let writer = TestThread(ring.takeProducer()) { producer in
      var next: UInt64 = 0
      while next < total {
        if producer.tryPush(next) {
          next += 1
        } else if producer.armDescriptor(), !pollOnce(producer.descriptor!) {
          return  // asleep though there is room: the consumer sees the missing elements
        }
      }
    }
    var consumer = ring.takeConsumer()
    var expected: UInt64 = 0
    var slept = 0
    while !consumer.isEnded {
      if let value = consumer.tryPop() {
        #expect(value == expected)
        expected += 1
      } else if consumer.armDescriptor(), !pollOnce(consumer.descriptor!) {
        slept += 1
      }
    }
    writer.join()
    #expect(slept == 0)
    #expect(expected == total)
  }

  @Test("elements of several producers arrive once, and in order within each", arguments: [2, 5])
  func manyProducers(producers: Int) throws {
    let each: UInt64 = 40_000
    var ring = try MPSCRing<UInt64>(producers: producers, capacityPerProducer: 16)
    let writers = (0..<producers).map { lane in
      TestThread(ring.takeProducer()) { producer in
        for number in 0..<each {
          while !producer.tryPush(UInt64(lane) << 32 | number) {
            _ = awake({ producer.waitForSpace(timeout: patience) })
          }
        }
      }
    }
    var consumer = ring.takeConsumer()
    var next = [UInt64](repeating: 0, count: producers)
    var faults = 0
    var room = [UInt64](repeating: 0, count: 32)
    while awake({ consumer.waitForElements(timeout: patience) }) == .ready {
      var span = room.mutableSpan
      let count = consumer.tryPop(into: &span)
      for value in room.prefix(count) {
        let lane = Int(value >> 32)
        if value & 0xFFFF_FFFF != next[lane] { faults += 1 }
        next[lane] += 1
      }
    }
    for writer in writers { writer.join() }
    #expect(faults == 0)
    #expect(next == Array(repeating: each, count: producers))
  }

  // producer                      consumer                allowed            forbidden
  //   index = n                     look: empty             end after n        end with elements left (P3/C3 broken)
  //   closed = true                 closed?
  //                                 look again
  @Test("the end is never seen before the last element")
  func closeRace() throws {
    for round in 0..<2_000 {
      var ring = try SPSCRing<UInt64>(capacity: 4)
      let writer = TestThread(ring.takeProducer()) { producer in
        for number in 0..<UInt64(round % 4) { _ = producer.tryPush(number) }
      }
      var consumer = ring.takeConsumer()
      var taken = 0
      var looks = 0
      while !consumer.isEnded {
        if consumer.tryPop() != nil { taken += 1 }
        // Mostly spinning, to meet the few nanoseconds between the producer's two stores.
        looks += 1
        if looks % 256 == 0 { sched_yield() }
      }
      writer.join()
      #expect(taken == round % 4)
    }
  }

  // allowed per element: taken, or discarded. forbidden: both, neither, twice.
  @Test("when the consumer leaves in the middle every element is taken or discarded, exactly once")
  func consumerLeaves() throws {
    for round in 0..<200 {
      let seen = SeenCounts(count: 64)
      do {
        var ring = try SPSCRing<UInt64>(capacity: 8) { seen.note($0) }
        let writer = TestThread(ring.takeProducer()) { producer in
          for number in 0..<UInt64(64) {
            while !producer.tryPush(number) {
              if awake({ producer.waitForSpace(timeout: patience) }) == .ended {
                for rest in number..<64 { seen.note(rest) }  // never entered: the producer still owns them
                return
              }
            }
          }
        }
        let reader = TestThread(ring.takeConsumer()) { consumer in
          var left = round % 40
          while left > 0, awake({ consumer.waitForElements(timeout: patience) }) == .ready {
            while left > 0, let value = consumer.tryPop() {
              seen.note(value)
              left -= 1
            }
          }
        }
        writer.join()
        reader.join()
      }
      #expect(seen.allOnce, "round \(round)")
    }
  }

  @Test("a parked consumer uses no processor time")
  func idleCost() throws {
    var ring = try SPSCRing<UInt64>(capacity: 8)
    let used = Reading()
    let cost = TestThread(ring.takeConsumer()) { consumer in
      let before = threadProcessorTime()
      _ = consumer.waitForElements()
      used.set(threadProcessorTime() - before)
    }
    usleep(400_000)
    let producer = ring.takeProducer()
    producer.close()
    cost.join()
    // 400 ms asleep; entering and leaving costs tens of microseconds, under the sanitizer some hundred.
    #expect(used.get() < .milliseconds(4))
  }
}

/// Ten seconds stand for ever: the other side needs microseconds.
private let patience = Duration.seconds(10)

/// Stops the run when a wait was slept through: the threads of the test could not be joined any more. A wait that ended
/// by its timeout and then found something was slept through as well.
private func awake(_ wait: () -> Availability) -> Availability {
  let before = ContinuousClock.now
  let availability = wait()
  let asleep = ContinuousClock.now - before
  precondition(availability != .timedOut && asleep < patience, "a wake-up was lost: asleep for \(asleep)")
  return availability
}

/// A duration that one thread measures for another.
private final class Reading: Sendable {
  private let value = Mutex<Duration>(.zero)

  func set(_ duration: Duration) {
    value.withLock { $0 = duration }
  }

  func get() -> Duration { value.withLock { $0 } }
}

/// How often each number came by.
private final class SeenCounts: Sendable {
  private let counts: Mutex<[Int]>

  init(count: Int) {
    counts = Mutex(Array(repeating: 0, count: count))
  }

  func note(_ number: UInt64) {
    counts.withLock { $0[Int(number)] += 1 }
  }

  var allOnce: Bool { counts.withLock { $0.allSatisfy { $0 == 1 } } }
}

private func pollOnce(_ descriptor: Int32) -> Bool {
  var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
  // SAFETY: one entry, as told.
  return unsafe poll(&entry, 1, 10_000) == 1
}

private func threadProcessorTime() -> Duration {
  var time = timespec()
  // SAFETY: the kernel fills the local.
  _ = unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}
