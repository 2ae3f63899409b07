import BongsuRing
import CBongsuPlatform
import Glibc

/// From push to the consumer's hand, when the consumer was asleep: by futex and through `poll`.
///
/// The producer waits 300 µs before each push, so that the consumer is parked for certain; elements carry the time of
/// the push. Also prints what the consumer's thread used of the processor per wake-up.
func measureWakeUp(rounds: Int) throws {
  for usesPoll in [false, true] {
    var ring = try SPSCRing<UInt64>(capacity: 8, descriptors: usesPoll ? .data : [])
    let producer = Worker(ring.takeProducer()) { producer in
      for _ in 0..<rounds {
        usleep(300)
        _ = producer.tryPush(monotonicNanoseconds())
      }
    }
    var consumer = ring.takeConsumer()
    var delays: [UInt64] = []
    let processorBefore = clockNanoseconds(CLOCK_THREAD_CPUTIME_ID)
    while true {
      if let pushed = consumer.tryPop() {
        delays.append(monotonicNanoseconds() - pushed)
      } else if consumer.isEnded {
        break
      } else if !usesPoll {
        _ = consumer.waitForElements()
      } else if consumer.armDescriptor() {
        var entry = pollfd(fd: consumer.descriptor!, events: Int16(POLLIN), revents: 0)
        // SAFETY: one entry, as told.
        _ = unsafe poll(&entry, 1, -1)
      }
    }
    let processor = clockNanoseconds(CLOCK_THREAD_CPUTIME_ID) - processorBefore
    producer.join()
    delays.sort()
    func microseconds(_ quantile: Double) -> Double {
      Double(delays[min(delays.count - 1, Int(Double(delays.count) * quantile))]) / 1000
    }
    print(
      "wake by \(usesPoll ? "poll " : "futex"): median \(microseconds(0.5)) us, p99 \(microseconds(0.99)) us, "
        + "\(Double(processor) / Double(rounds) / 1000) us of processor per wake-up, \(delays.count) wake-ups")
  }
}

private func monotonicNanoseconds() -> UInt64 { clockNanoseconds(CLOCK_MONOTONIC) }

private func clockNanoseconds(_ clock: clockid_t) -> UInt64 {
  var time = timespec()
  // SAFETY: the kernel fills the local.
  _ = unsafe clock_gettime(clock, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
