import BongsuReports
import FixtureAggregator
import Testing

@testable import BongsuAPI

@Suite struct AccessTests {
  static let local = AccessGate.Request(peerAddress: "127.0.0.1", authority: "localhost:7480")

  static func code(_ body: () throws(APIError) -> Operator) -> APIErrorCode? {
    do throws(APIError) {
      _ = try body()
      return nil
    } catch {
      return error.code
    }
  }

  @Test("without a token anyone reads and only loopback changes")
  func withoutToken() throws {
    let gate = AccessGate(token: nil)
    let remote = AccessGate.Request(peerAddress: "10.0.0.7", authority: "agg:7480")
    #expect(try gate.admit(remote, for: .read).credential == "none")
    #expect(Self.code { () throws(APIError) in try gate.admit(remote, for: .change) } == .forbidden)
    #expect(try gate.admit(Self.local, for: .change) == Operator(address: "127.0.0.1", credential: "loopback"))
    let unknown = AccessGate.Request(peerAddress: nil, authority: "localhost")
    #expect(Self.code { () throws(APIError) in try gate.admit(unknown, for: .change) } == .forbidden)
  }

  @Test("a web page elsewhere cannot change anything through a browser on this machine")
  func browsers() {
    let gate = AccessGate(token: nil)
    var rebound = Self.local
    rebound.authority = "evil.example:7480"
    #expect(Self.code { () throws(APIError) in try gate.admit(rebound, for: .change) } == .forbidden)
    var foreign = Self.local
    foreign.origin = "http://evil.example"
    #expect(Self.code { () throws(APIError) in try gate.admit(foreign, for: .change) } == .forbidden)
    var opaque = Self.local
    opaque.origin = "null"
    #expect(Self.code { () throws(APIError) in try gate.admit(opaque, for: .change) } == .forbidden)
    var own = Self.local
    own.origin = "http://localhost:7480"
    #expect(Self.code { () throws(APIError) in try gate.admit(own, for: .change) } == nil)
    var nameless = Self.local
    nameless.authority = nil
    #expect(Self.code { () throws(APIError) in try gate.admit(nameless, for: .change) } == .forbidden)
  }

  @Test("with a token everything but the probes needs it, from loopback too")
  func withToken() throws {
    let gate = AccessGate(token: "0123456789abcdef")
    #expect(Self.code { () throws(APIError) in try gate.admit(Self.local, for: .read) } == .unauthenticated)
    #expect(Self.code { () throws(APIError) in try gate.admit(Self.local, for: .probe) } == nil)
    let bad = ["", "Bearer", "Bearer ", "Basic 0123456789abcdef", "Bearer 0123456789abcdeF", "Bearer 0123456789abcde"]
    for text in bad + ["Bearer 0123456789abcdef0", "bearer  0123456789abcdef", "0123456789abcdef"] {
      var request = Self.local
      request.authorization = text
      #expect(Self.code { () throws(APIError) in try gate.admit(request, for: .read) } == .unauthenticated, "\(text)")
    }
    let good = AccessGate.Request(peerAddress: "10.0.0.7", authorization: "bearer 0123456789abcdef", authority: "agg")
    #expect(try gate.admit(good, for: .change) == Operator(address: "10.0.0.7", credential: "admin-token"))
  }

  @Test(
    "loopback is told from what looks like it",
    arguments: [
      ("127.0.0.1", true), ("127.255.255.254", true), ("::1", true), ("[::1]", true), ("LOCALHOST", true),
      ("localhost.evil.example", false), ("127.0.0.1.evil.example", false), ("128.0.0.1", false), ("0.0.0.0", false),
      ("127.1", false), ("127.0.0.256", false), ("", false), ("127.0.0.0x1", false), ("1270.0.0.1", false),
    ])
  func loopback(host: String, expected: Bool) {
    #expect(LoopbackRule.isLoopback(host: host) == expected)
  }

  @Test("an IPv4 peer mapped into IPv6 is seen for what it is")
  func mapped() {
    #expect(LoopbackRule.isLoopback(address: "::ffff:127.0.0.1"))
    #expect(!LoopbackRule.isLoopback(address: "::ffff:10.0.0.1"))
    #expect(LoopbackRule.host(ofAuthority: "[::1]:7480") == "[::1]")
    #expect(LoopbackRule.host(ofAuthority: "127.0.0.1:7480") == "127.0.0.1")
    #expect(LoopbackRule.host(ofAuthority: "") == "")
  }

  @Test("a configuration that would listen beyond loopback by accident is refused before anything starts")
  func configuration() {
    func objection(_ configuration: APIConfiguration) -> APIConfigurationError? {
      do throws(APIConfigurationError) {
        try configuration.validate()
        return nil
      } catch {
        return error
      }
    }
    let token = "0123456789abcdef"
    #expect(objection(APIConfiguration(version: "1")) == nil)
    #expect(
      objection(APIConfiguration(host: "0.0.0.0", version: "1"))
        == .exposedWithoutConsent(host: "0.0.0.0", hasToken: false))
    #expect(
      objection(APIConfiguration(host: "::", adminToken: token, version: "1"))
        == .exposedWithoutConsent(host: "::", hasToken: true))
    #expect(
      objection(APIConfiguration(host: "::", adminToken: token, allowsInsecureListen: true, version: "1")) == nil)
    #expect(objection(APIConfiguration(port: 65_536, version: "1")) == .portOutOfRange(65_536))
    #expect(objection(APIConfiguration(adminToken: "short", version: "1")) == .unusableToken(bytes: 5))
    #expect(objection(APIConfiguration(adminToken: token + "\n", version: "1")) == .unusableToken(bytes: 17))
  }

  @Test("constant-time comparison still compares")
  func constantTime() {
    #expect(AccessGate.isEqualInConstantTime("abc".utf8, "abc".utf8))
    #expect(!AccessGate.isEqualInConstantTime("abc".utf8, "abd".utf8))
    #expect(!AccessGate.isEqualInConstantTime("abc".utf8, "abcd".utf8))
    #expect(AccessGate.isEqualInConstantTime("".utf8, "".utf8))
  }
}
