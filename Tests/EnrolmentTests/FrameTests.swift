import BongsuModel
import BongsuTestKit
import BongsuTransport
import Testing

@testable import BongsuEnrolment

@Suite("Enrolment frames and join strings")
struct FrameTests {
  private static func key(_ fill: UInt8) -> PublicKey {
    do { return try PublicKey(bytes: [UInt8](repeating: fill, count: 32)) } catch { preconditionFailure("\(error)") }
  }

  private static let place = HostPort("10.0.0.5:7420")!
  private static let samples: [EnrolmentFrame] = [
    .join(JoinRequest(secret: [UInt8](1...20), node: node("r001-n07"), agentVersion: "0.1.0")),
    .join(JoinRequest(secret: [UInt8](repeating: 0, count: 20), node: node("a"), agentVersion: "")),
    .accepted(
      JoinAcceptance(
        node: node("r001-n07"), endpoints: [place, HostPort(host: "", port: 1)!, HostPort("[::1]:65535")!],
        serverKey: key(0xA5))),
    .refused(
      JoinDenial(.nodeTaken, detail: "봉수 is taken", nextStep: "revoke it", retryAfterMilliseconds: 4_000_000_000)),
  ]

  @Test("what is encoded is decoded as it was", arguments: samples)
  func roundTrip(frame: EnrolmentFrame) throws {
    #expect(frame.bytes.count <= EnrolmentLimits.frameBytesMax)
    #expect(try EnrolmentFrame(decoding: frame.bytes) == frame)
  }

  @Test("a frame that ends too early or goes on too long is refused", arguments: samples)
  func lengths(frame: EnrolmentFrame) {
    for count in 0..<frame.bytes.count {
      #expect(throws: EnrolmentFrameError.self) { try EnrolmentFrame(decoding: Array(frame.bytes.prefix(count))) }
    }
    #expect(throws: EnrolmentFrameError.trailingBytes(1)) { try EnrolmentFrame(decoding: frame.bytes + [0]) }
    #expect(throws: EnrolmentFrameError.oversized(bytes: 1025)) {
      try EnrolmentFrame(decoding: [UInt8](repeating: 0x21, count: 1025))
    }
  }

  @Test("other versions and types are refused by name")
  func otherVersions() {
    #expect(throws: EnrolmentFrameError.otherVersion(2)) { try EnrolmentFrame(decoding: [2 << 5 | 1]) }
    #expect(throws: EnrolmentFrameError.unknownType(9)) { try EnrolmentFrame(decoding: [1 << 5 | 9]) }
    #expect(throws: EnrolmentFrameError.empty) { try EnrolmentFrame(decoding: []) }
  }

  @Test("a reason of a later release is shown by its texts")
  func unknownReason() throws {
    var bytes = EnrolmentFrame.refused(JoinDenial(.malformed, detail: "moon phase", nextStep: "wait")).bytes
    bytes[1] = 200
    guard case .refused(let denial) = try EnrolmentFrame(decoding: bytes) else {
      Issue.record("no refusal")
      return
    }
    #expect(denial.reason == nil)
    #expect(denial.detail == "moon phase")
  }

  @Test("texts that are too long are cut between characters, and control characters are refused")
  func texts() throws {
    let long = String(repeating: "봉", count: 100)
    let frame = EnrolmentFrame.refused(JoinDenial(.malformed, detail: long, nextStep: ""))
    guard case .refused(let denial) = try EnrolmentFrame(decoding: frame.bytes) else {
      Issue.record("no refusal")
      return
    }
    #expect(denial.detail == String(repeating: "봉", count: 80))
    let escape = EnrolmentFrame.refused(JoinDenial(.malformed, detail: "\u{1B}[2J", nextStep: ""))
    #expect(throws: EnrolmentFrameError.malformed(field: "detail")) { try EnrolmentFrame(decoding: escape.bytes) }
  }

  @Test("random and mutated bytes never trap, and what is accepted is encoded the same again")
  func fuzz() {
    var random = SeededRandom(default: 0xE14)
    for _ in 0..<300_000 {
      var bytes = Self.samples.randomElement(using: &random)!.bytes
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        bytes = (0..<Int.random(in: 0..<80, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      case 1: bytes.removeLast(Int.random(in: 0...bytes.count, using: &random))
      default:
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
      }
      guard let frame = try? EnrolmentFrame(decoding: bytes) else { continue }
      let again = try? EnrolmentFrame(decoding: frame.bytes)
      #expect(again == frame, "seed \(random.seed)")
    }
  }

  // MARK: Join strings

  private static func string(_ endpoints: [HostPort] = [place]) -> JoinString {
    JoinString(serverKey: key(0x3C), secret: [UInt8](101...120), endpoints: endpoints)
  }

  @Test("a join string survives being wrapped, capitalised and quoted")
  func survives() throws {
    let text = Self.string([Self.place, HostPort("aggregator.example.kr:7421")!]).text
    let wrapped = "\"" + text.prefix(50) + "\n   " + text.dropFirst(50) + "\"\r\n"
    for copy in [text, text.uppercased(), " \(text)\n", wrapped] {
      let parsed = try JoinString(parsing: copy)
      #expect(parsed.serverKey == Self.key(0x3C))
      #expect(parsed.secret == [UInt8](101...120))
      #expect(parsed.endpoints.map(\.description) == ["10.0.0.5:7420", "aggregator.example.kr:7421"])
    }
  }

  @Test("every slip in a join string is told: a wrong, a missing, an extra and a swapped character")
  func slips() {
    let text = Array(Self.string().text.utf8)
    let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
    for position in 7..<text.count {
      for letter in alphabet where letter != text[position] {
        var copy = text
        copy[position] = letter
        #expect(throws: JoinString.Invalid.self) { try JoinString(parsing: String(decoding: copy, as: UTF8.self)) }
      }
      var short = text
      short.remove(at: position)
      #expect(throws: JoinString.Invalid.damaged) { try JoinString(parsing: String(decoding: short, as: UTF8.self)) }
      var long = text
      long.insert(0x61, at: position)
      #expect(throws: JoinString.Invalid.damaged) { try JoinString(parsing: String(decoding: long, as: UTF8.self)) }
    }
    #expect(throws: JoinString.Invalid.notAJoinString) { try JoinString(parsing: "hello") }
    #expect(throws: JoinString.Invalid.notAJoinString) { try JoinString(parsing: "") }
    #expect(throws: JoinString.Invalid.otherFormat) { try JoinString(parsing: "bongsu2aaaa") }
    #expect(throws: JoinString.Invalid.tooLong(characters: 1401)) {
      try JoinString(parsing: String(repeating: "a", count: 1401))
    }
  }

  @Test("the longest join string is within its bound, and random letters never trap")
  func bounds() throws {
    let host = String(repeating: "h", count: EnrolmentLimits.endpointBytesMax - 6)
    let widest = Self.string((0..<4).map { _ in HostPort(host: host, port: 65_535)! }).text
    #expect(widest.count < EnrolmentLimits.joinStringCharactersMax)
    #expect(try JoinString(parsing: widest).endpoints.count == 4)
    var random = SeededRandom(default: 0xE15)
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0..<120, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      _ = try? JoinString(parsing: "bongsu1" + Base32.encode(bytes))
      _ = try? JoinString(parsing: "bongsu1" + String(decoding: bytes, as: UTF8.self))
      #expect(Base32.decode(Array(Base32.encode(bytes).utf8)[...]) == bytes)
    }
  }

  @Test(
    "RFC 4648's own examples of base32",
    arguments: [("", ""), ("f", "my"), ("foobar", "mzxw6ytboi"), ("foob", "mzxw6yq")])
  func base32(plain: String, coded: String) {
    #expect(Base32.encode(Array(plain.utf8)) == coded)
  }

  @Test("places are HOST:PORT with a port that can be reached, and say whether they are on this machine")
  func places() {
    for (text, isLoopback) in [
      ("127.0.0.1:7420", true), ("localhost:1", true), ("[::1]:7420", true), ("127.9.9.9:1", true),
      ("127.example.com:1", false), ("10.0.0.5:7420", false), ("[fe80::1%eth0]:7421", false),
      ("host-1.kr:65535", false),
    ] {
      #expect(HostPort(text)?.isLoopback == isLoopback, "\(text)")
      #expect(HostPort(text)?.description == text)
    }
    for text in [
      "", "host", "host:", "host:0", "host:65536", "host:7420x", "::1:7420", "a b:1", "h/x:1", "[::1:1", "h:-1",
    ] {
      #expect(HostPort(text) == nil, "\(text)")
    }
  }
}
