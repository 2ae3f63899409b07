import AsyncHTTPClient
import BongsuAPI
import BongsuReports
import FixtureAggregator
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

/// A source whose ticks the test makes.
final class ScriptedPage: PageSource {
  /// Bytes that each frame carries besides its tick.
  let ballast: Int
  private let ticks = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
  private let state = Mutex(State())

  private struct State {
    var tick: Int64 = 0
    var asked: [String: Int] = [:]
    var told: Int64 = 0
  }

  init(ballast: Int = 0) { self.ballast = ballast }

  /// How often figures of a view were computed.
  func asked(_ view: PageView) -> Int { state.withLock { $0.asked["\(view)"] ?? 0 } }

  /// Closes the next tick and waits until everybody was told.
  func tick() async {
    let tick = state.withLock { state in
      state.tick += 1
      return state.tick
    }
    ticks.continuation.yield()
    while state.withLock({ $0.told }) < tick { await Task.yield() }
  }

  func forEachClosedTick(_ body: @Sendable () async -> Void) async {
    for await _ in ticks.stream {
      let tick = state.withLock { $0.tick }
      await body()
      state.withLock { $0.told = tick }
    }
  }

  func opening(of view: PageView, for scope: AccessScope) async throws -> PageOpening {
    if case .factory("atlantis", _) = view {
      throw APIError.unknownName("factory", "atlantis")
    }
    var opening = PageOpening(
      version: "test", nation: "Testland", zone: "UTC", secondsEast: 0, energySinceUnixMilliseconds: 0,
      isDemonstration: false, subject: PageGroup(id: "t", name: "Testland"))
    opening.scope = scope.texts
    return opening
  }

  func figures(of view: PageView, for scope: AccessScope) async throws -> PageFigures? {
    let tick = state.withLock { state in
      state.asked["\(view)", default: 0] += 1
      return state.tick
    }
    guard tick > 0 else { return nil }
    var figures = PageFigures(tickUnixMilliseconds: tick)
    if ballast > 0 { figures.racks = Array(repeating: 1_000_000_000_000_000_000, count: ballast / 20) }
    return figures
  }
}

/// Reads a stream event by event.
struct EventReader {
  private var chunks: HTTPClientResponse.Body.AsyncIterator
  private var text = ""

  init(_ response: HTTPClientResponse) { chunks = response.body.makeAsyncIterator() }

  /// The next event without its empty line; `nil` when the stream has ended. Comments, which tell on a busy machine that the
  /// server lives, are passed over unless they are asked for.
  mutating func next(takesComments: Bool = false) async throws -> String? {
    while true {
      if let end = text.firstRange(of: "\n\n") {
        let event = String(text[..<end.lowerBound])
        text.removeSubrange(text.startIndex..<end.upperBound)
        if event.hasPrefix(":"), !takesComments { continue }
        return event
      }
      guard let chunk = try await chunks.next() else { return nil }
      text += String(buffer: chunk)
    }
  }
}

func watch(_ port: Int, _ query: String, token: String? = nil) async throws -> HTTPClientResponse {
  var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/api/bongsu/v1/live?\(query)")
  if let token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
  return try await testClient.execute(request, timeout: .seconds(60))
}

@Suite struct LiveRouteTests {
  @Test("a stream opens with what stays, and brings figures of every tick")
  func stream() async throws {
    let page = ScriptedPage()
    try await withServer(APISources(live: FixtureAggregator(), page: page)) { port async throws in
      let response = try await watch(port, "view=nation")
      #expect(response.status == .ok)
      #expect(response.headers.first(name: "Content-Type") == "text/event-stream; charset=utf-8")
      #expect(response.headers.first(name: "Cache-Control") == "no-store")
      var events = EventReader(response)
      let opening = try #require(try await events.next())
      #expect(opening.hasPrefix("event: opening\ndata: {") && opening.contains("\"nation\":\"Testland\""))
      for tick in 1...3 {
        await page.tick()
        #expect(try await events.next() == "event: figures\ndata: {\"t\":\(tick)}")
      }
    }
  }

  @Test("what several look at is computed once per tick")
  func shared() async throws {
    let page = ScriptedPage()
    try await withServer(APISources(live: FixtureAggregator(), page: page)) { port async throws in
      var readers: [EventReader] = []
      for _ in 0..<5 { readers.append(EventReader(try await watch(port, "view=allocation&id=samsung"))) }
      for index in readers.indices { _ = try await readers[index].next() }
      let before = page.asked(.allocation("samsung"))
      await page.tick()
      for index in readers.indices { #expect(try await readers[index].next() == "event: figures\ndata: {\"t\":1}") }
      #expect(page.asked(.allocation("samsung")) == before + 1)
      #expect(page.asked(.nation) == 0, "what nobody looks at is not computed")
    }
  }

  @Test("who reads slowly finds recent figures next, not those of long ago")
  func slowReader() async throws {
    let page = ScriptedPage(ballast: 16 * 1024)
    try await withServer(APISources(live: FixtureAggregator(), page: page)) { port async throws in
      let socket = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .channelOption(.socketOption(.so_rcvbuf), value: 16 * 1024).channelOption(.autoRead, value: false)
        .connect(host: "127.0.0.1", port: port) { channel in
          channel.eventLoop.makeCompletedFuture {
            try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
          }
        }
      let ticks: Int64 = 100  // 1.6 MB in all, much more than the buffers between
      try await socket.executeThenClose { inbound, outbound in
        try await outbound.write(
          ByteBuffer(string: "GET /api/bongsu/v1/live?view=nation HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))
        while page.asked(.nation) == 0 { await Task.yield() }
        // Ticks go on while nothing is read.
        for _ in 0..<ticks { await page.tick() }
        try await socket.channel.setOption(ChannelOptions.autoRead, value: true).get()
        var text = ""
        var seen: [Int64] = []
        for try await chunk in inbound {
          text += String(buffer: chunk)
          // The order of a frame's fields is another in every process.
          while let start = text.firstRange(of: "\"t\":"),
            let end = text[start.upperBound...].firstIndex(where: { $0 == "," || $0 == "}" })
          {
            seen.append(try #require(Int64(text[start.upperBound..<end])))
            text.removeSubrange(text.startIndex..<end)
          }
          if seen.last == ticks { break }
        }
        #expect(seen.last == ticks)
        #expect(seen == seen.sorted())
        // What lay in the buffers on both sides, and then the newest.
        #expect(seen.count < ticks / 2, "\(seen.count) of \(ticks) frames were kept for a reader that did not read")
      }
    }
  }

  @Test(
    "what cannot be looked at is refused by name",
    arguments: [
      ("view=moon", "bad_parameter", "no view is called \"moon\""), ("view=factory", "bad_parameter", "id is missing"),
      ("view=factory&id=a&heat=noise", "bad_parameter", "heat is \"noise\""),
      ("view=rack&id=a&hall=b", "bad_parameter", "rack is missing"),
      ("view=factory&id=atlantis", "unknown_name", "no factory is called \"atlantis\""),
      ("view=nation&speed=9", "unknown_parameter", "no parameter \"speed\" here"),
    ])
  func refused(query: String, code: String, message: String) async throws {
    try await withServer(APISources(live: FixtureAggregator(), page: ScriptedPage())) { port async throws in
      let answer = try await call(port, "/api/bongsu/v1/live?\(query)")
      #expect(answer.status == 400 && answer.refusal?.code == code && answer.refusal?.message == message)
    }
  }

  @Test("places are given back when viewers leave, and those above the limit are told so")
  func places() async throws {
    let page = ScriptedPage()
    try await withServer(APISources(live: FixtureAggregator(), page: page)) { port async throws in
      // HEAD takes a place and never asks for the body.
      for _ in 0..<600 {
        #expect(try await call(port, "/api/bongsu/v1/live?view=nation", method: "HEAD").status == 200)
      }
      let client = HTTPClient(
        eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
        configuration: HTTPClient.Configuration(
          connectionPool: .init(idleTimeout: .seconds(30), concurrentHTTP1ConnectionsPerHostSoftLimit: 600)))
      var streams: [HTTPClientResponse] = []
      for _ in 0..<APILimits.viewersMax {
        streams.append(
          try await client.execute(
            HTTPClientRequest(url: "http://127.0.0.1:\(port)/api/bongsu/v1/live"), timeout: .seconds(60)))
      }
      #expect(streams.allSatisfy { $0.status == .ok })
      let refused = try await call(port, "/api/bongsu/v1/live")
      #expect(refused.status == 503 && refused.refusal?.message.contains("512 viewers watch already") == true)
      streams = []
      try await client.shutdown()
      // The server learns of closed connections at the next frame.
      var status = 503
      for _ in 0..<50 where status != 200 {
        await page.tick()
        status = try await call(port, "/api/bongsu/v1/live", method: "HEAD").status
      }
      #expect(status == 200)
    }
  }

  @Test("a stream without ticks still beats, shows what the token sees, and ends with the token")
  func beatsAndTokens() async throws {
    let tokens = EndingTokens(scope: try AccessScope(["allocation=\"samsung\""]))
    let sources = APISources(live: FixtureAggregator(), tokens: tokens, page: ScriptedPage())
    try await withServer(sources) { port async throws in
      #expect(try await watch(port, "view=nation", token: "something-else-entirely").status == .unauthorized)
      var events = EventReader(try await watch(port, "view=nation", token: EndingTokens.secret))
      #expect(try await events.next()?.contains("\"scope\":[\"allocation=\\\"samsung\\\"\"]") == true)
      #expect(try await events.next(takesComments: true) == ": still here")
      tokens.end()
      // Cut off, so that it ends with an error or without one.
      while let event = try? await events.next(takesComments: true) { #expect(event == ": still here") }
      #expect(try await watch(port, "view=nation", token: EndingTokens.secret).status == .unauthorized)
    }
  }
}

/// One token, until it is ended.
private final class EndingTokens: AccessTokenControl {
  static let secret = "a-token-of-the-test"
  private let grant: Mutex<AccessGrant?>

  init(scope: AccessScope) { grant = Mutex(AccessGrant(id: "1", name: "test", role: .viewer, scope: scope)) }

  func end() { grant.withLock { $0 = nil } }
  func grant(forSecret secret: String) -> AccessGrant? { secret == Self.secret ? grant.withLock { $0 } : nil }
  func createAccessToken(_ request: AccessTokenRequest, by person: Operator) async throws -> CreatedAccessToken {
    throw APIError(.notAvailable, "no tokens are made here", nextStep: "use the one there is")
  }
  func accessTokens() async throws -> [AccessTokenReport] { [] }
  func revokeAccessToken(_ name: String, by person: Operator) async throws -> AccessTokenReport? { nil }
}
