import BongsuAlerts
import Testing

@Suite("Delivery queue")
struct DeliveryQueueTests {
  private func event(_ name: String, resolvedAt: Int64? = nil) -> AlertEvent {
    let transition = AlertTransition(
      rule: name, alertName: name, group: "g", labels: ["alertname": name], annotations: [:],
      from: resolvedAt == nil ? .pending : .firing, to: resolvedAt == nil ? .firing : .inactive, at: resolvedAt ?? 1000,
      value: 1, activeSince: 1000, firedAt: 1000, coverage: nil, estimatedShare: nil, expression: "x")
    return AlertEvent(transition, externalLabels: [:], externalURL: "http://x")!
  }

  private func queue(resend: Int64? = 60_000, _ change: (inout DeliveryQueue.Settings) -> Void = { _ in })
    -> DeliveryQueue
  {
    var settings = DeliveryQueue.Settings()
    settings.resendMilliseconds = resend
    change(&settings)
    return DeliveryQueue(settings)
  }

  private func due(_ queue: inout DeliveryQueue, at time: Int64) throws -> DeliveryQueue.Batch {
    let batch = queue.next(at: time)
    return try #require(batch)
  }

  private func none(_ batch: DeliveryQueue.Batch?) { #expect(batch?.events == nil) }

  private func same(_ numbers: [Int64], _ expected: [Int64]) { #expect(numbers == expected) }

  private func entries(_ events: [AlertEvent], from first: Int64 = 1) -> [DeliveryQueue.Entry] {
    events.enumerated().map { DeliveryQueue.Entry(number: first + Int64($0), event: $1) }
  }

  @Test("events go out in order, one event of an alert to a request, and are removed when delivered")
  func order() throws {
    var queue = queue()
    _ = queue.add(entries([event("a"), event("b"), event("a", resolvedAt: 5000)]))
    let first = try due(&queue, at: 0)
    #expect(first.events.map { $0.labels["alertname"] } == ["a", "b"])
    same(queue.finish(first, .delivered, at: 0), [1, 2])
    let second = try due(&queue, at: 0)
    #expect(second.events.map(\.isResolved) == [true])
    same(queue.finish(second, .delivered, at: 0), [3])
    none(queue.next(at: 0))
  }

  @Test("an outage delays and loses nothing; waits double up to the bound")
  func outage() throws {
    var queue = queue {
      $0.backOffMilliseconds = 100
      $0.backOffMillisecondsMax = 300
    }
    _ = queue.add(entries([event("a")]))
    var now: Int64 = 0
    for wait in [100, 200, 300, 300] as [Int64] {
      let batch = try due(&queue, at: now)
      same(queue.finish(batch, .failed("refused"), at: now), [])
      none(queue.next(at: now + wait - 1))
      #expect(queue.wakeAt(after: now) == now + wait)
      now += wait
    }
    _ = queue.add(entries([event("a", resolvedAt: 9000)], from: 2))
    let fired = try due(&queue, at: now)
    #expect(fired.events.map(\.isResolved) == [false])
    same(queue.finish(fired, .delivered, at: now), [1])
    let next = try due(&queue, at: now)
    #expect(next.events.map(\.isResolved) == [true])
    #expect(queue.failedTotal == 4)
  }

  @Test("Alertmanager is told again of what fires, and for five minutes of what is over")
  func resends() throws {
    var queue = queue(resend: 60_000)
    _ = queue.add(entries([event("a")]))
    _ = queue.finish(try due(&queue, at: 0), .delivered, at: 0)
    none(queue.next(at: 59_999))
    #expect(queue.wakeAt(after: 10) == 60_000)
    let again = try due(&queue, at: 60_000)
    #expect(again.isRepetition && again.events.map(\.isResolved) == [false])
    same(queue.finish(again, .delivered, at: 60_000), [])
    _ = queue.add(entries([event("a", resolvedAt: 70_000)], from: 2))
    _ = queue.finish(try due(&queue, at: 70_000), .delivered, at: 70_000)
    var told = 0
    for now in stride(from: Int64(71_000), through: 900_000, by: 1000) {
      guard let batch = queue.next(at: now) else { continue }
      #expect(batch.events.map(\.isResolved) == [true])
      _ = queue.finish(batch, .delivered, at: now)
      told += 1
    }
    #expect(told == 4)
    #expect(queue.wakeAt(after: 900_000) == nil)
  }

  @Test("a webhook is told once of each change")
  func webhook() throws {
    var queue = queue(resend: nil)
    _ = queue.add(entries([event("a")]))
    _ = queue.finish(try due(&queue, at: 0), .delivered, at: 0)
    none(queue.next(at: 10_000_000))
    #expect(queue.state(of: ["alertname": "a"]) == .delivered)
    queue.restore(event("b"))
    none(queue.next(at: 10_000_000))
  }

  @Test("a refused batch is taken apart: the bad alert is dropped by name, the others arrive")
  func refusal() throws {
    var queue = queue(resend: nil)
    _ = queue.add(entries([event("a"), event("bad"), event("c")]))
    let all = try due(&queue, at: 0)
    same(queue.finish(all, .refused("status 400"), at: 0), [])
    var delivered: [String] = []
    while let batch = queue.next(at: 0) {
      #expect(batch.events.count == 1)
      let name = batch.events[0].labels["alertname"] ?? ""
      if name != "bad" { delivered.append(name) }
      _ = queue.finish(batch, name == "bad" ? .refused("status 400") : .delivered, at: 0)
    }
    #expect(delivered == ["a", "c"])
    #expect(queue.refusedTotal == 1)
    #expect(queue.state(of: ["alertname": "bad"]) == .refused)
  }

  @Test("a full queue drops first what a newer event of the same alert replaces, and counts it")
  func full() {
    var queue = queue(resend: nil) { $0.entriesMax = 2 }
    same(queue.add(entries([event("a"), event("b"), event("a", resolvedAt: 5000)])), [1])
    same(queue.add(entries([event("c")], from: 4)), [2])
    #expect(queue.droppedTotal == 2)
    #expect(queue.waitingCount == 2)
  }

  @Test("a receiver that wants no ends is not told of them")
  func withoutResolved() throws {
    var queue = queue(resend: nil) { $0.sendsResolved = false }
    _ = queue.add(entries([event("a")]))
    _ = queue.finish(try due(&queue, at: 0), .delivered, at: 0)
    same(queue.add(entries([event("a", resolvedAt: 5000)], from: 2)), [2])
    none(queue.next(at: 0))
  }
}
