import BongsuAPI
import FixtureAggregator
import Foundation
import Testing

@Suite struct PageRouteTests {
  @Test("the page and all files that it names are served, whoever asks, and may run nothing but themselves")
  func files() async throws {
    try await withServer(APISources(live: FixtureAggregator()), token: "0123456789abcdef") { port async throws in
      let page = try await call(port, "/")
      #expect(page.status == 200 && page.header("Content-Type") == "text/html; charset=utf-8")
      let named = page.body.matches(of: #/"(/page/[a-z.]+)"/#).map { String($0.1) }
      #expect(Set(named) == ["/page/app.js", "/page/style.css", "/page/icon.svg"])
      var waiting = named
      var seen: Set<String> = []
      while let path = waiting.popLast() {
        guard seen.insert(path).inserted else { continue }
        let file = try await call(port, path)
        #expect(file.status == 200 && file.body.count > 100, "\(path)")
        #expect(file.header("X-Content-Type-Options") == "nosniff", "\(path)")
        #expect(file.header("Content-Type")?.hasPrefix(Self.type(path)) == true, "\(path)")
        let policy = try #require(file.header("Content-Security-Policy"))
        #expect(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "\(path)")
        #expect(!policy.contains("unsafe"), "\(path)")
        waiting += file.body.matches(of: #/(?:from |import\()"\.\/([a-z]+\.js)"/#).map { "/page/\($0.1)" }
      }
      #expect(seen.count >= 9, "\(seen.sorted())")
    }
  }

  private static func type(_ path: String) -> String {
    path.hasSuffix(".js") ? "text/javascript" : path.hasSuffix(".css") ? "text/css" : "image/svg+xml"
  }

  @Test("a file that the browser has already is not sent again")
  func unchanged() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let first = try await call(port, "/page/app.js")
      let tag = try #require(first.header("ETag"))
      let again = try await call(port, "/page/app.js", headers: ["If-None-Match": tag])
      #expect(again.status == 304 && again.body.isEmpty)
      #expect(try await call(port, "/page/app.js", headers: ["If-None-Match": "\"old\""]).status == 200)
    }
  }

  @Test("the page needs no program of others and none written into it, and says everything in both languages")
  func text() async throws {
    try await withServer(APISources(live: FixtureAggregator())) { port async throws in
      let page = try await call(port, "/").body
      #expect(!page.contains("http:") && !page.contains("https:"))
      #expect(page.firstMatch(of: #/<script(?![^>]*src)/#) == nil && page.firstMatch(of: #/ on[a-z]+=| style=/#) == nil)
      let words = try await call(port, "/page/text.js").body
      let halves = try #require(words.firstRange(of: "\n  ko: {"))
      func keys(_ text: Substring) -> Set<String> {
        Set(text.matches(of: #/(?:[{,]|^)\s*([a-zA-Z_]+): "/#).map { String($0.1) })
      }
      let english = keys(words[..<halves.lowerBound])
      let korean = keys(words[halves.upperBound...])
      #expect(english.count > 50)
      #expect(
        english.symmetricDifference(korean).subtracting(["nation"]).isEmpty, "\(english.symmetricDifference(korean))")
    }
  }
}
