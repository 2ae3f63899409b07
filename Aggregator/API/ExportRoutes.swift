internal import BongsuReports
internal import Hummingbird
internal import NIOCore
internal import ServiceLifecycle
internal import Synchronization

/// Stored samples as a stream. Memory stays bounded: the source is asked for the next run when the asker took the last.
struct ExportRoutes {
  let source: (any ExportSource)?

  func install(in table: inout RouteTable) {
    let source = source
    let running = ExportSlots()
    table.on(.get, "/api/bongsu/v1/export", right: .read) { request, _, person in
      guard let source else { throw APIError.notAvailable("export") }
      var asked = try Self.exportRequest(query: request.uri.query)
      asked.matchers = try ExportSelectors.narrowed(asked.matchers, to: person.scope)
      let narrowed = asked
      guard let slot = running.take() else {
        throw APIError(
          .busy, "\(APILimits.exportsMax) exports are running already", nextStep: "wait until one of them ends")
      }
      return Response(
        status: .ok, headers: [.contentType: ExportText.contentType(asked.format)],
        body: ResponseBody { writer in
          try await Self.stream(narrowed, from: source, to: &writer)
          try await writer.finish(nil)
          withExtendedLifetime(slot) {}
        })
    }
  }

  /// Reads what is to be exported. Both ends of time are required: a forgotten one must not mean everything.
  static func exportRequest(query: String?) throws(APIError) -> ExportRequest {
    let parameters = try QueryParameters(
      query, allowed: ["match", "start", "end", "format"], repeatable: ["match"])
    let matchers = parameters.texts("match")
    guard (1...ReportLimits.exportMatchersMax).contains(matchers.count) else {
      throw APIError(
        .badParameter, "\(matchers.count) matchers are given",
        nextStep: "give match 1 to \(ReportLimits.exportMatchersMax) times")
    }
    for matcher in matchers where matcher.isEmpty || matcher.utf8.count > ReportLimits.exportMatcherBytesMax {
      throw APIError(
        .badParameter, "a matcher has \(matcher.utf8.count) bytes",
        nextStep:
          "give 1 to \(ReportLimits.exportMatcherBytesMax) bytes, such as bongsu_gpu_power_watts{node=\"r1\"}")
    }
    // Read here already, since a stream that has begun can no longer say what is wrong.
    _ = try ExportSelectors(matchers)
    let start = try instant("start", parameters)
    let end = try instant("end", parameters)
    guard start <= end else {
      throw APIError(.badParameter, "end lies before start", nextStep: "swap them")
    }
    return ExportRequest(
      matchers: matchers, startUnixMilliseconds: start, endUnixMilliseconds: end,
      format: try parameters.choice("format", default: .openmetrics))
  }

  private static func instant(_ name: String, _ parameters: QueryParameters) throws(APIError) -> Int64 {
    let nextStep = "give RFC 3339 such as 2026-11-21T09:30:00Z, or seconds since 1970"
    guard let text = parameters.text(name) else {
      throw APIError(.badParameter, "\(name) is missing", nextStep: nextStep)
    }
    guard let instant = TimeText.unixMilliseconds(text) else {
      throw APIError(.badParameter, "\(name) is \"\(text.quotedForMessage)\"", nextStep: nextStep)
    }
    return instant
  }

  private static func stream(
    _ asked: ExportRequest, from source: any ExportSource, to writer: inout any ResponseBodyWriter
  ) async throws {
    var text = ExportText(format: asked.format)
    var pending = text.head()
    try await source.export(asked) { series in
      pending += text.text(of: series)
      guard pending.utf8.count >= APILimits.streamChunkBytes else { return }
      try Task.checkCancellation()
      guard !Task.isShuttingDownGracefully else { throw CancellationError() }
      try await writer.write(ByteBuffer(string: pending))
      pending = ""
    }
    pending += text.tail()
    try await writer.write(ByteBuffer(string: pending))
  }
}

/// Counts the exports that run.
private final class ExportSlots: Sendable {
  /// The right to run one export, given back when the last reference to it goes: when the stream has ended, and also when
  /// the answer's body is never asked for, as with HEAD or an asker that hung up.
  final class Slot: Sendable {
    private let owner: ExportSlots

    init(of owner: ExportSlots) {
      self.owner = owner
    }

    deinit { owner.taken.wrappingSubtract(1, ordering: .relaxed) }
  }

  private let taken = Atomic<Int>(0)

  /// Takes a slot; `nil` when all are taken.
  func take() -> Slot? {
    // Relaxed: the number guards itself and publishes nothing.
    guard taken.wrappingAdd(1, ordering: .relaxed).newValue <= APILimits.exportsMax else {
      taken.wrappingSubtract(1, ordering: .relaxed)
      return nil
    }
    return Slot(of: self)
  }
}
