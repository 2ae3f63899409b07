import BongsuRing
import Glibc
import Synchronization

func push(_ values: [UInt64], to producer: inout RingProducer<UInt64>) -> Int {
  producer.tryPush(contentsOf: values.span)
}

/// Takes everything, `room` elements at a time.
func popAll(_ consumer: inout RingConsumer<UInt64>, room: Int) -> [UInt64] {
  var all: [UInt64] = []
  var buffer = [UInt64](repeating: 0, count: room)
  while true {
    var span = buffer.mutableSpan
    let count = consumer.tryPop(into: &span)
    if count == 0 { return all }
    all += buffer.prefix(count)
  }
}

func isReadable(_ descriptor: Int32) -> Bool {
  var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
  // SAFETY: one entry, as told.
  return unsafe poll(&entry, 1, 0) == 1
}

/// Remembers what a discard handler was given.
final class Recorder: Sendable {
  private let recorded = Mutex<[UInt64]>([])

  func append(_ value: UInt64) {
    recorded.withLock { $0.append(value) }
  }

  var values: [UInt64] { recorded.withLock { $0 } }
}
