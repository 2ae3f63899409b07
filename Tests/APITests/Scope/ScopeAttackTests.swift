import AsyncHTTPClient
import BongsuAPI
import BongsuQuery
import BongsuReports
import BongsuSeries
import BongsuTestKit
import FixtureAggregator
import Foundation
import NIOCore
import NIOHTTP1
import Testing

/// A token for `naver` learns nothing about others: it is answered the same, byte for byte, whether they are there or not.
@Suite struct ScopeAttackTests {
  private struct Answers: Sendable {
    var narrowed: [String: String] = [:]
    var whole: [String: String] = [:]
  }

  /// What a world answers to every attack, with the token and without.
  private static func answers(hasOthers: Bool) async throws -> Answers {
    let world = try ScopedWorld(hasOthers: hasOthers)
    try world.tokens.add("naver-token", .viewer, "allocation=\"naver\"")
    return try await world.serve { port async throws in
      var answers = Answers()
      for attack in ScopeAttack.all {
        answers.narrowed[attack.name] = try await answer(port, attack.path, token: "naver-token")
        answers.whole[attack.name] = try await answer(port, attack.path, token: nil)
      }
      return answers
    }
  }

  private static func answer(_ port: Int, _ path: String, token: String?) async throws -> String {
    guard path.contains("/live?") else {
      let headers = token.map { ["Authorization": "Bearer \($0)"] } ?? [:]
      let answer = try await call(port, path, headers: headers)
      return "\(answer.status) " + timeless(answer.body)
    }
    let response = try await watch(port, String(path.split(separator: "?")[1]), token: token)
    guard response.status == .ok else {
      let body = try await response.body.collect(upTo: 1 << 20)
      return "\(response.status.code) \(String(buffer: body))"
    }
    var events = EventReader(response)
    return try await "200 \(inOrder(events.next() ?? ""))\n\(inOrder(events.next() ?? ""))"
  }

  /// An event with the members of its data in order of their names.
  private static func inOrder(_ event: String) throws -> String {
    let parts = event.split(separator: "data: ", maxSplits: 1)
    guard parts.count == 2 else { return event }
    let data = try JSONSerialization.jsonObject(with: Data(parts[1].utf8))
    let ordered = try JSONSerialization.data(withJSONObject: data, options: .sortedKeys)
    return parts[0] + String(decoding: ordered, as: UTF8.self)
  }

  /// Without how long an evaluation took, and with the series of a vector in order, which they have none of.
  private static func timeless(_ body: String) -> String {
    let text = body.replacing(#/"(evaluationTime|lastEvaluation)":("[^"]*"|[-+.0-9e]+)/#, with: "")
    let start = "\"result\":["
    guard let range = text.range(of: start), text.hasSuffix("]}}") || text.hasSuffix("]}}\n") else { return text }
    let series = text[range.upperBound...].split(separator: #/(?=\{"metric")/#)
    return text[..<range.upperBound]
      + series.map { $0.trimmingCharacters(in: ["]", "}", ",", "\n"]) }.sorted().joined(separator: "\n")
  }

  private static let both = Task {
    try await (withOthers: answers(hasOthers: true), alone: answers(hasOthers: false))
  }

  @Test("no attack tells others' presence", arguments: ScopeAttack.all)
  func attack(_ attack: ScopeAttack) async throws {
    let (withOthers, alone) = try await Self.both.value
    let seen = try #require(withOthers.narrowed[attack.name])
    #expect(seen == alone.narrowed[attack.name])
    // What was asked may come back in an answer; everything else must not name others.
    for name in ["sk-ulsan", "msit", "stray-01", "sk\"", "naver-cloud", "moonshot", "n4", "SKHigh"]
    where !(attack.path.removingPercentEncoding ?? "").contains(name) {
      #expect(!seen.contains(name), "\(name) in \(seen.prefix(2000))")
    }
    // The attack has teeth: who sees everything is told of others by it.
    if attack.isTelling { #expect(withOthers.whole[attack.name] != alone.whole[attack.name]) }
  }

  @Test("the names of attacks are different, and there are many")
  func names() {
    #expect(Set(ScopeAttack.all.map(\.name)).count == ScopeAttack.all.count && ScopeAttack.all.count >= 100)
  }

  @Test("what is one's own is answered in full")
  func own() async throws {
    let answers = try await Self.both.value.withOthers.narrowed
    func has(_ name: String, _ parts: String...) {
      let answer = answers[name] ?? ""
      for part in parts { #expect(answer.contains(part), "\(name): \(answer.prefix(1000))") }
    }
    has("a bare name", "\"node\":\"n1\"", "\"node\":\"n2\"", "902", "703")
    has("a sum by allocation at every step", "naver/research", "1801")
    has("values of allocation", "[\"naver\",\"naver/research\"]")
    has("alerts", "\"alertname\":\"Hot\"", "n1 of naver")
    has("the history of alerts", "Hot", "naver/research")
    has("rules", "\"name\":\"Hot\"", "\"name\":\"NationHigh\"")
    has("top allocations", "\"id\":\"naver\"")
    has("top nation", "\"power_milliwatts\":17600003")
    has("nodes", "naver-sejong-r2-5", "naver-sejong-r3-5")
    has("gaps", "naver-sejong-r2-5")
    has("status", "\"expected\":2", "\"matchers\":[\"allocation=\\\"naver\\\"\"]")
    has("export of everything", "gpu:power", "n2")
    has("metadata of everything", "gpu:power", "allocation:power")
    has("the page of the nation", "\"id\":\"naver\"", "event: figures")
    has("the page of one's own", "event: figures")
    has("the ledger", "\"allocation\":\"naver\"", "\"factory\":\"naver-sejong\"")
    has("federation of everything", "fresh:power{allocation=\"naver\"")
    has("who one is", "\"name\":\"naver-token\"")
  }

  @Test("what concerns the whole, or others' rights, is refused to a narrowed token")
  func refused() async throws {
    let answers = try await Self.both.value.withOthers.narrowed
    for name in ["metrics of the aggregator", "tokens", "join tokens"] {
      #expect(answers[name]?.hasPrefix("403 ") == true, "\(name)")
    }
  }

  @Test("thousands of queries made up by chance tell nothing either")
  func random() throws {
    var random = SeededRandom(default: 603)
    let scope = try AccessScope(["allocation=\"naver\""])
    let withOthers = scope.narrow(try ScopedWorld(hasOthers: true).memory)
    let alone = scope.narrow(try ScopedWorld(hasOthers: false).memory)
    let engine = QueryEngine()
    var results = 0
    for _ in 0..<4000 {
      var maker = QueryMaker(random: random)
      let text = maker.vector(depth: 3)
      random = maker.random
      func answer(_ source: any SeriesSource) -> String {
        do { return "\(try engine.instant(text, at: ScopedWorld.start + 2000, over: source))" } catch {
          return "error: \(error)"
        }
      }
      let seen = answer(withOthers)
      #expect(seen == answer(alone), "\(text), seed \(random.seed)")
      if seen.contains("value") { results += 1 }
    }
    // Most are about something; a maker of nonsense would prove nothing.
    #expect(results > 1000)
  }
}

/// Makes expressions over the metrics of ``ScopedWorld`` by chance.
private struct QueryMaker {
  var random: SeededRandom

  private mutating func pick<Element>(_ choices: [Element]) -> Element {
    choices[Int.random(in: 0..<choices.count, using: &random)]
  }

  mutating func selector() -> String {
    let name = pick([
      "gpu:power", "gpu:power", "allocation:power", "factory_allocation:power", "factory:power", "nation:power", "up",
      "{__name__=~\".*:power\"}", "{nation=\"kr\"}",
    ])
    let matcher = pick([
      "", "", "", "allocation=\"sk\"", "allocation!=\"naver\"", "allocation=~\".*\"", "allocation!~\"naver.*\"",
      "factory=\"naver-sejong\"", "allocation=\"\"", "node=~\"n[1-5]\"", "rack!=\"\"",
    ])
    let selector =
      matcher.isEmpty ? name : name.hasPrefix("{") ? name.dropLast() + "," + matcher + "}" : "\(name){\(matcher)}"
    return selector + pick(["", "", "", " offset 1s", " @ 1795253401"])
  }

  mutating func labels() -> String {
    pick(["allocation", "factory", "nation", "allocation, node", "rack, factory", "", "gpu"])
  }

  mutating func vector(depth: Int) -> String {
    guard depth > 0 else { return selector() }
    switch Int.random(in: 0..<10, using: &random) {
    case 0, 1: return selector()
    case 2, 3:
      let aggregate = pick(["sum", "count", "avg", "max", "min", "group", "stddev"])
      return "\(aggregate) \(pick(["by", "without"])) (\(labels())) (\(vector(depth: depth - 1)))"
    case 4: return "\(pick(["topk", "bottomk"]))(2, \(vector(depth: depth - 1)))"
    case 5:
      let matching = pick(["on", "ignoring"]) + " (\(labels()))" + pick(["", " group_left ()", " group_right ()"])
      let operation = pick(["+", "-", "/", "*", ">", "== bool"])
      return "(\(vector(depth: depth - 1))) \(operation) \(matching) (\(vector(depth: depth - 1)))"
    case 6:
      let operation = pick(["and", "or", "unless"])
      return "(\(vector(depth: depth - 1))) \(operation) on (\(labels())) (\(vector(depth: depth - 1)))"
    case 7: return "absent(\(vector(depth: depth - 1)))"
    case 8:
      return
        "\(pick(["max_over_time", "sum_over_time", "count_over_time", "deriv"]))((\(vector(depth: depth - 1)))[3s:1s])"
    default:
      return
        "label_replace(\(vector(depth: depth - 1)), \"allocation\", \"\(pick(["naver", "$1x", ""]))\", "
        + "\"\(pick(["allocation", "node", "factory"]))\", \"(.*)\")"
    }
  }
}
