import Testing

@testable import BongsuAPI

@Suite struct QueryParametersTests {
  @Test("percent escapes and plus signs are undone, whatever the case of the digits")
  func decoding() throws {
    let parameters = try QueryParameters("a=%EB%b4%89+%2b&b=&c", allowed: ["a", "b", "c"])
    #expect(parameters.text("a") == "봉 +")
    #expect(parameters.text("b") == nil && parameters.text("c") == nil && parameters.text("d") == nil)
  }

  @Test("repeatable parameters keep their order, empty pieces between ampersands mean nothing")
  func repetition() throws {
    let parameters = try QueryParameters("&m=1&&m=2&", allowed: ["m"], repeatable: ["m"])
    #expect(parameters.texts("m") == ["1", "2"])
  }

  @Test("broken escapes are refused", arguments: ["a=%", "a=%4", "a=%zz", "a=%4g", "%=1", "a=%ff%fe"])
  func brokenEscapes(query: String) {
    #expect(throws: APIError.self) { try QueryParameters(query, allowed: ["a"]) }
  }

  @Test("a parameter of just the longest length is taken, one byte more is refused")
  func lengths() throws {
    let longest = String(repeating: "x", count: APILimits.parameterBytesMax)
    #expect(try QueryParameters("a=" + longest, allowed: ["a"]).text("a") == longest)
    #expect(throws: APIError.self) { try QueryParameters("a=x" + longest, allowed: ["a"]) }
  }
}
