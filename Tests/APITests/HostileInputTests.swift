import BongsuAPI
import BongsuReports
import BongsuTestKit
import FixtureAggregator
import NIOCore
import NIOPosix
import Testing

@Suite struct HostileInputTests {
  /// Sends `bytes`, then reads until the server closes or `patience` is over: a half request is the server's to wait for.
  private static func send(_ bytes: [UInt8], to port: Int, patience: TimeAmount = .seconds(2)) async throws -> String {
    let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    let end = channel.channel.eventLoop.scheduleTask(in: patience) { channel.channel.close(promise: nil) }
    defer { end.cancel() }
    return try await channel.executeThenClose { inbound, outbound in
      try await outbound.write(ByteBuffer(bytes: bytes))
      var received = ""
      do {
        for try await part in inbound { received += String(buffer: part) }
      } catch is ChannelError {
        // Patience was over.
      } catch is IOError {
        // The server may reset a connection that made no sense; what it said before counts.
      }
      return received
    }
  }

  @Test(
    "bytes that are no request are answered with 400 or nothing, and the server goes on",
    arguments: [
      "\0\0\0\0", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET http://a: HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a:b HTTP/1.1\r\nHost: a\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET ?x=1 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /? HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /?# HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET //// HTTP/1.1\r\nHost: a\r\n\r\n", "GET /%00%ff/..%2f HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /api/bongsu/v1/top/%00 HTTP/1.1\r\nHost: a\r\n\r\n", "POST /api/bongsu/v1/join-tokens HTTP/1.1\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
      "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
      "POST /api/bongsu/v1/join-tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    ])
  func nonsense(text: String) async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture, enrolment: fixture)) { port async throws in
      let said = try await Self.send(Array(text.utf8), to: port)
      // Some can be read as asking for the page, which everybody may have.
      let isRefused = said.isEmpty || said.hasPrefix("HTTP/1.1 4") || said.hasPrefix("HTTP/1.1 5")
      #expect(isRefused || said.contains("<title>Bongsu</title>"), "\(said)")
      #expect(try await call(port, "/-/healthy").status == 200)
    }
  }

  @Test("headers and addresses beyond the limit are refused")
  func oversized() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let long = String(repeating: "a", count: APILimits.headerBytesMax + 1)
      for text in ["GET /\(long) HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nX: \(long)\r\n\r\n"] {
        let said = try await Self.send(Array(text.utf8), to: port)
        #expect(said.isEmpty || said.hasPrefix("HTTP/1.1 4"), "\(said.prefix(200))")
      }
      let many = (0...APILimits.parametersMax).map { _ in "match=a" }.joined(separator: "&")
      let answer = try await call(port, "/api/bongsu/v1/status?" + many)
      #expect(answer.status == 400)
      #expect(try await call(port, "/-/healthy").status == 200)
    }
  }

  @Test("a thousand mutated requests leave the server answering")
  func mutations() async throws {
    var random = SeededRandom(default: 7480)
    let seed = random.seed
    let requests = (0..<1000).map { _ in
      var bytes = Array(
        "GET /api/bongsu/v1/top/factories?by=power&limit=5&factory=%41 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
          .utf8)
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: place)
        default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
        }
      }
      return bytes
    }
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      try await withThrowingTaskGroup { group in
        for part in 0..<8 {
          group.addTask {
            for index in stride(from: part, to: requests.count, by: 8) {
              _ = try await Self.send(requests[index], to: port, patience: .milliseconds(50))
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(try await call(port, "/-/healthy").status == 200, "seed \(seed)")
    }
  }
}
