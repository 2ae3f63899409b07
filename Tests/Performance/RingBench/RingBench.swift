// Throughput and wake-up time of the rings.
//
//     ring-bench <payload bytes 8|64> <batch 1..64> <spsc|mpsc> <items> [capacity = 8192]
//     ring-bench wake [rounds = 2000]
//
// Topology: spsc = producer on core 0, consumer on core 1. mpsc = producers on cores 0 and 1, consumer on core 1 too, so
// on two cores a waiting thread yields. Every word of every element is written and summed, and each producer's order is
// checked, so nothing can be optimised away or lost. `capacity` is shared out between the lanes of mpsc.
//
// Prints one tab-separated line:
//     peer mode payload batch items seconds items_per_s ns_per_item cpu_ns_per_item ok|BAD

import BongsuRing
import CBongsuPlatform
import Glibc
import Synchronization

/// An element that fills whole words.
protocol Payload: BitwiseCopyable, Sendable {
  init(_ value: UInt64)
  var first: UInt64 { get }
  var sum: UInt64 { get }
  static var words: UInt64 { get }
}

struct OneWord: Payload {
  var value: UInt64

  init(_ value: UInt64) { self.value = value }
  var first: UInt64 { value }
  var sum: UInt64 { value }
  static var words: UInt64 { 1 }
}

struct EightWords: Payload {
  var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)

  init(_ value: UInt64) {
    words = (value, value &+ 1, value &+ 2, value &+ 3, value &+ 4, value &+ 5, value &+ 6, value &+ 7)
  }

  var first: UInt64 { words.0 }
  var sum: UInt64 {
    words.0 &+ words.1 &+ words.2 &+ words.3 &+ words.4 &+ words.5 &+ words.6 &+ words.7
  }
  static var words: UInt64 { 8 }
}

/// What a run is given on the command line.
struct Arguments {
  let payloadBytes: Int
  let batch: Int
  let isMultiProducer: Bool
  let items: UInt64
  let capacity: Int

  init?(_ words: [String]) {
    guard words.count >= 4, let payload = Int(words[0]), payload == 8 || payload == 64, let batch = Int(words[1]),
      (1...64).contains(batch), 64 % batch == 0, words[2] == "spsc" || words[2] == "mpsc", let items = UInt64(words[3])
    else { return nil }
    payloadBytes = payload
    self.batch = batch
    isMultiProducer = words[2] == "mpsc"
    self.items = items
    capacity = words.count > 4 ? Int(words[4]) ?? 8192 : 8192
  }
}

/// Pushes `count` tagged numbers, `batch` at a time.
@inline(__always)
func produce<Element: Payload>(
  _ ring: inout RingProducer<Element>, lane: UInt64, count: UInt64, batch: Int, yields: Bool
) {
  var buffer = InlineArray<64, Element>(repeating: Element(0))
  var next: UInt64 = 0
  while next < count {
    if batch == 1 {
      let element = Element(lane << 48 | next)
      var misses = 0
      while !ring.tryPush(element) { pause(&misses, yields) }
    } else {
      for position in 0..<batch { buffer[position] = Element(lane << 48 | (next &+ UInt64(position))) }
      var sent = 0
      var misses = 0
      while sent < batch {
        let taken = ring.tryPush(contentsOf: buffer.span.extracting(sent..<batch))
        if taken == 0 { pause(&misses, yields) } else { misses = 0 }
        sent += taken
      }
    }
    next &+= UInt64(batch)
  }
}

/// Sums and checks what arrives.
struct Tally {
  var received: UInt64 = 0
  var sum: UInt64 = 0
  var next: InlineArray<2, UInt64> = [0, 0]
  var isInOrder = true

  @inline(__always)
  mutating func add(_ element: some Payload) {
    let lane = Int(truncatingIfNeeded: element.first >> 48)
    if element.first & 0xFFFF_FFFF_FFFF != next[lane] { isInOrder = false }
    next[lane] &+= 1
    sum &+= element.sum
    received &+= 1
  }
}

@inline(__always)
func pause(_ misses: inout Int, _ yields: Bool) {
  misses &+= 1
  if yields && misses > 64 {
    sched_yield()
    misses = 0
  } else {
    bongsu_spin_hint()
  }
}

/// Runs producers on their threads and `consume` here; prints the line.
func measure<Element: Payload>(
  _ arguments: Arguments, producers: [Worker<RingProducer<Element>>], as: Element.Type,
  consume: (UInt64) -> Tally
) -> Bool {
  let lanes = UInt64(producers.count)
  let each = arguments.items / lanes / 64 * 64
  let items = each * lanes
  _ = bongsu_thread_pin(1)
  while Start.ready.load(ordering: .acquiring) < producers.count { sched_yield() }
  let processorBefore = processorSeconds()
  let before = ContinuousClock.now
  Start.go.store(true, ordering: .releasing)
  let tally = consume(items)
  let seconds = (ContinuousClock.now - before) / .seconds(1)
  for producer in producers { producer.join() }
  let processor = processorSeconds() - processorBefore

  var expected: UInt64 = 0
  for lane in 0..<lanes {
    let numbers = (lane << 48) &* each &+ each &* (each &- 1) / 2
    expected &+= Element.words &* numbers &+ (Element.words == 8 ? 28 &* each : 0)
  }
  let isRight = tally.isInOrder && tally.sum == expected
  let fields = [
    "bongsu", arguments.isMultiProducer ? "mpsc" : "spsc", "\(arguments.payloadBytes)", "\(arguments.batch)",
    "\(items)", "\(seconds)", "\(Double(items) / seconds)", "\(seconds / Double(items) * 1e9)",
    "\(processor / Double(items) * 1e9)", isRight ? "ok" : "BAD",
  ]
  print(fields.joined(separator: "\t"))
  return isRight
}

func runSPSC<Element: Payload>(_ arguments: Arguments, _ type: Element.Type) throws -> Bool {
  var ring = try SPSCRing<Element>(capacity: arguments.capacity)
  var consumer = ring.takeConsumer()
  let batch = arguments.batch
  let count = arguments.items / 64 * 64
  let producer = Worker(ring.takeProducer()) { producer in
    Start.wait(core: 0)
    produce(&producer, lane: 0, count: count, batch: batch, yields: false)
  }
  return measure(arguments, producers: [producer], as: type) { items in
    var tally = Tally()
    var buffer = InlineArray<64, Element>(repeating: Element(0))
    var misses = 0
    while tally.received < items {
      if batch == 1 {
        if let element = consumer.tryPop() { tally.add(element) } else { pause(&misses, false) }
        continue
      }
      var span = buffer.mutableSpan
      let taken = consumer.tryPop(into: &span)
      if taken == 0 { pause(&misses, false) }
      for position in 0..<taken { tally.add(buffer[position]) }
    }
    return tally
  }
}

func runMPSC<Element: Payload>(_ arguments: Arguments, _ type: Element.Type) throws -> Bool {
  var ring = try MPSCRing<Element>(producers: 2, capacityPerProducer: arguments.capacity / 2)
  var consumer = ring.takeConsumer()
  let batch = arguments.batch
  let each = arguments.items / 2 / 64 * 64
  let producers = (0..<2).map { lane in
    Worker(ring.takeProducer()) { producer in
      Start.wait(core: Int32(lane))
      produce(&producer, lane: UInt64(lane), count: each, batch: batch, yields: true)
    }
  }
  return measure(arguments, producers: producers, as: type) { items in
    var tally = Tally()
    var buffer = InlineArray<64, Element>(repeating: Element(0))
    var misses = 0
    while tally.received < items {
      if batch == 1 {
        if let element = consumer.tryPop() {
          tally.add(element)
          misses = 0
        } else {
          pause(&misses, true)
        }
        continue
      }
      var span = buffer.mutableSpan
      let taken = consumer.tryPop(into: &span)
      if taken == 0 { pause(&misses, true) } else { misses = 0 }
      for position in 0..<taken { tally.add(buffer[position]) }
    }
    return tally
  }
}

/// Holds the producers until all are up.
enum Start {
  static let ready = Atomic<Int>(0)
  static let go = Atomic<Bool>(false)

  static func wait(core: Int32) {
    _ = bongsu_thread_pin(core)
    ready.add(1, ordering: .releasing)
    while !go.load(ordering: .acquiring) { bongsu_spin_hint() }
  }
}

func processorSeconds() -> Double {
  var usage = rusage()
  // SAFETY: the kernel fills the local.
  _ = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
  return seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

@main
enum RingBench {
  static func main() throws {
    let words = Array(CommandLine.arguments.dropFirst())
    if words.first == "wake" {
      try measureWakeUp(rounds: words.count > 1 ? Int(words[1]) ?? 2000 : 2000)
      return
    }
    guard let arguments = Arguments(words) else {
      print(
        "usage: ring-bench <8|64> <batch dividing 64> <spsc|mpsc> <items> [capacity]\n       ring-bench wake [rounds]")
      exit(2)
    }
    let isRight =
      switch (arguments.isMultiProducer, arguments.payloadBytes) {
      case (false, 8): try runSPSC(arguments, OneWord.self)
      case (false, _): try runSPSC(arguments, EightWords.self)
      case (true, 8): try runMPSC(arguments, OneWord.self)
      case (true, _): try runMPSC(arguments, EightWords.self)
      }
    exit(isRight ? 0 : 1)
  }
}
