internal import BongsuAlerts
internal import FoundationEssentials
internal import Logging
internal import NIOCore
internal import Synchronization

/// Tells everybody who watches the page about closed ticks.
///
/// What several look at is computed and encoded once per tick. A viewer has room for one frame: whoever reads slowly finds
/// the newest one next and never falls behind. One that takes nothing at all for long is cut off.
///
///     closed tick ─▶ each view that is watched: figures, encoded once ─▶ box of each viewer ─▶ its connection
final class LiveHub: Sendable {
  private let source: any PageSource
  private let alerts: AlertRunner?
  private let logger: Logger
  private let state = Mutex(State())

  private struct State {
    var viewers: [Int: LiveViewer] = [:]
    var number = 0
    var isClosed = false
  }

  init(source: any PageSource, alerts: AlertRunner?, logger: Logger) {
    self.source = source
    self.alerts = alerts
    self.logger = logger
  }

  /// How many watch.
  var viewerCount: Int { state.withLock { $0.viewers.count } }

  /// Begins to watch. The viewer leaves with its last reference. `isWelcome` is asked now and then, `abandon` closes its
  /// connection; both from any thread.
  func attend(
    _ sight: PageSight, isWelcome: @escaping @Sendable () -> Bool = { true }, abandon: @escaping @Sendable () -> Void
  ) throws(APIError) -> LiveSeat {
    let viewer = LiveViewer(sight: sight, isWelcome: isWelcome, abandon: abandon)
    let seat: Result<Int, APIError> = state.withLock { state in
      guard !state.isClosed else {
        return .failure(APIError(.notReady, "the aggregator is stopping", nextStep: "ask again when it is back"))
      }
      guard state.viewers.count < APILimits.viewersMax else {
        return .failure(
          APIError(
            .notReady, "\(APILimits.viewersMax) viewers watch already, which is the limit",
            nextStep: "close other pages, or ask /api/bongsu/v1/top/nation now and then"))
      }
      state.number += 1
      state.viewers[state.number] = viewer
      return .success(state.number)
    }
    return LiveSeat(number: try seat.get(), viewer: viewer, hub: self)
  }

  fileprivate func leave(_ number: Int) {
    _ = state.withLock { $0.viewers.removeValue(forKey: number) }
  }

  /// Serves until the task is cancelled.
  func run() async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.source.forEachClosedTick { await self.tell() } }
      group.addTask { await self.keepAlive() }
      await group.waitForAll()
    }
    close()
  }

  /// Ends all streams, so that a stop need not wait for those who watch.
  func close() {
    let viewers = state.withLock { state in
      state.isClosed = true
      return Array(state.viewers.values)
    }
    for viewer in viewers { viewer.end() }
  }

  private func tell() async {
    let viewers = state.withLock { Array($0.viewers.values) }
    for (sight, group) in Dictionary(grouping: viewers, by: \.sight) {
      guard let frame = await frame(of: sight) else { continue }
      for viewer in group { viewer.offer(frame) }
    }
  }

  /// The newest figures of a view as an event; `nil` when there are none.
  func frame(of sight: PageSight) async -> ByteBuffer? {
    do {
      guard var figures = try await source.figures(of: sight.view, for: sight.scope) else { return nil }
      figures.alerts = alertCounts(sight.scope)
      return try Self.event("figures", figures)
    } catch {
      logger.error("the page's figures failed", metadata: ["error": "\(error)"])
      return nil
    }
  }

  /// What a view is told once.
  func opening(of sight: PageSight) async throws -> ByteBuffer {
    try Self.event("opening", try await source.opening(of: sight.view, for: sight.scope))
  }

  private func keepAlive() async {
    while !Task.isCancelled {
      try? await Task.sleep(for: .seconds(APILimits.viewerBeatSeconds))
      for viewer in state.withLock({ Array($0.viewers.values) }) { viewer.beat() }
    }
  }

  private func alertCounts(_ scope: AccessScope) -> PageAlertCounts? {
    guard let alerts else { return nil }
    var counts = PageAlertCounts()
    for group in alerts.snapshot.groups {
      for alert in group.state.alerting.flatMap(\.active) where scope.includes(alert.labels) {
        counts.firing += alert.phase == .firing ? 1 : 0
        counts.pending += alert.phase == .pending ? 1 : 0
        for instant in [alert.activeSince, alert.firedAt ?? 0, alert.resolvedAt ?? 0] {
          counts.changedUnixMilliseconds = max(counts.changedUnixMilliseconds, instant)
        }
      }
    }
    return counts
  }

  /// `value` as a server-sent event. JSON has no line breaks of its own, so one data line holds it.
  private static func event(_ name: String, _ value: some Encodable) throws -> ByteBuffer {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.withoutEscapingSlashes]
    var buffer = ByteBuffer(string: "event: \(name)\ndata: ")
    buffer.writeBytes(try encoder.encode(value))
    buffer.writeString("\n\n")
    return buffer
  }
}

/// What is looked at, and by whose eyes. Equal ones share their frames.
struct PageSight: Hashable, Sendable {
  let view: PageView
  let scope: AccessScope
}

/// A place among those who watch; given back when the last reference goes, also when the answer's body is never asked for.
final class LiveSeat: Sendable {
  let viewer: LiveViewer
  private let number: Int
  private let hub: LiveHub

  init(number: Int, viewer: LiveViewer, hub: LiveHub) {
    self.number = number
    self.viewer = viewer
    self.hub = hub
  }

  deinit { hub.leave(number) }
}

/// One who watches: room for one frame, and a bell that says that there is something to send.
final class LiveViewer: Sendable {
  let sight: PageSight
  private let bell: AsyncStream<Void>
  private let ring: AsyncStream<Void>.Continuation
  private let isWelcome: @Sendable () -> Bool
  private let abandon: @Sendable () -> Void
  private let box = Mutex(Box())

  private struct Box {
    var frame: ByteBuffer?
    /// Beats since the connection took something.
    var beats = 0
  }

  init(
    sight: PageSight, isWelcome: @escaping @Sendable () -> Bool, abandon: @escaping @Sendable () -> Void
  ) {
    self.sight = sight
    self.isWelcome = isWelcome
    self.abandon = abandon
    (bell, ring) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Puts the newest frame in place of one that was not sent yet.
  func offer(_ frame: ByteBuffer) {
    box.withLock { $0.frame = frame }
    ring.yield()
  }

  /// Sees to it that the connection hears something, and cuts it off when it takes nothing or its token has ended.
  func beat() {
    let beats = box.withLock { box in
      box.beats += 1
      return box.beats
    }
    if beats > APILimits.viewerBeatsMissedMax || !isWelcome() { return abandon() }
    ring.yield()
  }

  func end() { ring.finish() }

  /// Sends frames by `write` until the stream ends; a comment when there is nothing new.
  func send(_ write: (ByteBuffer) async throws -> Void) async throws {
    for await _ in bell {
      let frame = box.withLock { $0.frame.take() }
      try await write(frame ?? Self.comment)
      box.withLock { $0.beats = 0 }
    }
  }

  private static let comment = ByteBuffer(string: ": still here\n\n")
}
