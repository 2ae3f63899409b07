import Testing

@testable import BongsuTransport

@Suite("Keys and admission replies")
struct KeyTests {
  @Test("keys survive their text and byte forms, and the public half follows from the secret")
  func forms() throws {
    #expect(KeyPair.isAvailable)
    let pair = try KeyPair.generate()
    #expect(pair.publicKey.bytes.count == 32 && pair.publicKey.z85.utf8.count == 40)
    #expect(try PublicKey(z85: pair.publicKey.z85) == pair.publicKey)
    #expect(try PublicKey(bytes: pair.publicKey.bytes) == pair.publicKey)
    #expect(try SecretKey(z85: pair.secret.z85).bytes == pair.secret.bytes)
    #expect(try KeyPair(secret: pair.secret).publicKey == pair.publicKey)
    #expect(try KeyPair.generate().publicKey != pair.publicKey)
  }

  @Test("the test vector of the Z85 specification decodes to its bytes")
  func specification() throws {
    // rfc.zeromq.org/spec/32: 86 4F D2 6F B5 59 F7 5B is written HelloWorld.
    let key = try PublicKey(z85: String(repeating: "HelloWorld", count: 4))
    #expect(key.bytes == Array(repeatElement([0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B], count: 4).joined()))
  }

  @Test(
    "malformed keys are refused without being repeated", arguments: ["", "short", String(repeating: "\"", count: 40)])
  func malformed(text: String) {
    let error = #expect(throws: TransportError.self) { _ = try SecretKey(z85: text) }
    #expect(error == .malformedKey(expected: "40 characters of Z85", gotBytes: text.utf8.count))
    #expect(throws: TransportError.malformedKey(expected: "32 bytes", gotBytes: 3)) {
      _ = try PublicKey(bytes: [1, 2, 3])
    }
  }

  @Test("a secret key never shows itself")
  func hidden() throws {
    let secret = try KeyPair.generate().secret
    var dumped = ""
    dump(secret, to: &dumped)
    for text in ["\(secret)", String(reflecting: secret), dumped, "\([secret])"] {
      #expect(!text.contains(secret.z85) && text.contains("hidden"))
    }
  }

  @Test("an admission reply repeats the request id and carries the user id")
  func admittedReply() throws {
    let keys = KeyList()
    let node = try KeyPair.generate().publicKey
    keys.set(node, to: "node-1")
    let reply = AdmissionReply(to: request(key: node.bytes), by: keys)
    #expect(reply.frames.map { String(decoding: $0, as: UTF8.self) } == ["1.0", "1", "200", "OK", "node-1", ""])
    #expect(keys.requests == [AdmissionRequest(domain: "ingest", address: "10.0.0.7", key: node)])
  }

  @Test("anything else is turned away with 300, never with a status that ends the client's session")
  func refusedReplies() throws {
    let keys = KeyList()
    let whole = request(key: [UInt8](repeating: 1, count: 32))
    var variants: [[[UInt8]]] = [whole, [], Array(whole.prefix(3)), whole + [[1]]]
    for (position, wrong) in [(0, "2.0"), (5, "PLAIN"), (6, "short")] {
      var changed = whole
      changed[position] = Array(wrong.utf8)
      variants.append(changed)
    }
    for variant in variants {
      let reply = AdmissionReply(to: variant, by: keys)
      #expect(reply.status == "300" && reply.userID == "")
      #expect(reply.frames.count == 6)
    }
    #expect(keys.requests.count == 1, "only the well-formed request reaches the authority")
  }

  private func request(key: [UInt8]) -> [[UInt8]] {
    ["1.0", "1", "ingest", "10.0.0.7", "", "CURVE"].map { Array($0.utf8) } + [key]
  }
}
