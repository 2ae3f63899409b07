internal import Foundation
internal import Logging

/// Takes events to one receiver, for as long as it runs. One receiver's trouble stays its own.
actor Deliverer {
  let settings: ReceiverSettings
  private let sender: AlertSender
  private let logger: Logger
  /// Tells that entries on disk are done.
  private let onDone: @Sendable ([Int64]) -> Void
  private var queue: DeliveryQueue
  private var isSignalled = false
  private var waiter: CheckedContinuation<Void, Never>?
  private var wasFailing = false
  private nonisolated let inbox: AsyncStream<[DeliveryQueue.Entry]>.Continuation
  private let arriving: AsyncStream<[DeliveryQueue.Entry]>

  init(
    _ settings: ReceiverSettings, externalURL: String, logger: Logger, onDone: @escaping @Sendable ([Int64]) -> Void
  ) throws {
    self.settings = settings
    self.logger = logger
    self.onDone = onDone
    sender = try AlertSender(settings, externalURL: externalURL)
    queue = DeliveryQueue(settings.queue)
    (arriving, inbox) = AsyncStream.makeStream()
  }

  func restore(_ firing: [AlertEvent]) {
    for event in firing { queue.restore(event) }
  }

  /// Adds events; in order of the calls, and from any thread.
  nonisolated func post(_ entries: [DeliveryQueue.Entry]) { inbox.yield(entries) }

  private func add(_ entries: [DeliveryQueue.Entry]) {
    let gone = queue.add(entries)
    if !gone.isEmpty { onDone(gone) }
    signal()
  }

  func state(of labels: [String: String]) -> DeliveryQueue.State? { queue.state(of: labels) }

  func report() -> ReceiverReport { ReceiverReport(settings, queue) }

  /// Delivers until the task is cancelled.
  func run() async {
    let feed = Task {
      for await entries in arriving { add(entries) }
    }
    await deliver()
    feed.cancel()
    await sender.shutdown()
  }

  private func deliver() async {
    while !Task.isCancelled {
      let now = Self.now()
      guard let batch = queue.next(at: now) else {
        await wait(until: queue.wakeAt(after: now))
        continue
      }
      let outcome = await sender.send(batch.events, now: now)
      let done = queue.finish(batch, outcome, at: Self.now())
      if !done.isEmpty { onDone(done) }
      tell(outcome, batch)
    }
  }

  private func tell(_ outcome: DeliveryQueue.Outcome, _ batch: DeliveryQueue.Batch) {
    switch outcome {
    case .delivered:
      if wasFailing { logger.notice("\(settings.name) takes alerts again") }
      wasFailing = false
    case .failed(let reason):
      // Told once per outage; the status has the rest.
      if !wasFailing {
        logger.warning("\(settings.name) does not take alerts: \(reason); \(queue.waitingCount) wait, tried again")
      }
      wasFailing = true
    case .refused(let reason):
      let names = batch.events.map { $0.labels["alertname"] ?? "" }.joined(separator: ", ")
      logger.warning("\(settings.name) refused \(names): \(reason)")
    }
  }

  private func wait(until time: Int64?) async {
    if isSignalled {
      isSignalled = false
      return
    }
    let timer = time.map { time in
      Task {
        try? await Task.sleep(for: .milliseconds(max(1, time - Self.now())))
        if !Task.isCancelled { self.signal() }
      }
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { waiter = $0 }
    } onCancel: {
      Task { await self.signal() }
    }
    isSignalled = false
    timer?.cancel()
  }

  private func signal() {
    isSignalled = true
    waiter?.resume()
    waiter = nil
  }

  private static func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
}

/// How a receiver does, for people.
public struct ReceiverReport: Sendable, Codable {
  public var name: String
  public var waiting: Int
  public var delivered: Int
  public var failed: Int
  public var refused: Int
  public var dropped: Int
  public var isFailing: Bool
  public var lastFailure: String?
  public var lastDeliveredUnixMilliseconds: Int64?

  enum CodingKeys: String, CodingKey {
    case name, waiting, delivered, failed, refused, dropped
    case isFailing = "failing"
    case lastFailure = "last_failure"
    case lastDeliveredUnixMilliseconds = "last_delivered_ms"
  }

  init(_ settings: ReceiverSettings, _ queue: DeliveryQueue) {
    name = settings.name
    waiting = queue.waitingCount
    delivered = queue.deliveredTotal
    failed = queue.failedTotal
    refused = queue.refusedTotal
    dropped = queue.droppedTotal
    isFailing = queue.isFailing
    lastFailure = queue.lastFailure
    lastDeliveredUnixMilliseconds = queue.lastDeliveredAt
  }
}
