import Testing

@testable import bongsu_fleet

@Suite("Event sentences")
struct EventSentenceTests {
  @Test(
    "a sentence says whom, how many, what and for how long",
    arguments: [
      (
        "factory sk power +20 % over 5 s", 100_000, "factory", "sk", ScenarioAction.power(permille: 1200, over: 5000),
        nil
      ),
      ("factory sk power -12.5% over 500ms", 100_000, "factory", "sk", .power(permille: 875, over: 500), nil),
      ("10 % of samsung nodes vanish", 10_000, "any", "samsung", .vanish, nil),
      ("0.5% of all vanish for 30s", 500, "all", "", .vanish, 30_000),
      ("samsung nodes return", 100_000, "any", "samsung", .comeBack, nil),
      (
        "hall sk-ulsan/a ramp to 90 % over 2 min for 1h", 100_000, "hall", "sk-ulsan/a",
        .ramp(toPermille: 900, over: 120_000),
        3_600_000
      ),
      ("all power normal over 5 s", 100_000, "all", "", .normal(over: 5000), nil),
      ("node n1 clock skew +90 s", 100_000, "node", "n1", .clock(offset: 90_000), nil),
      ("node n1 clock -1 d for 10 s", 100_000, "node", "n1", .clock(offset: -86_400_000), 10_000),
      ("all clock right", 100_000, "all", "", .clock(offset: 0), nil),
      ("allocation msit/naver lose network for 1.5 min", 100_000, "allocation", "msit/naver", .loseNetwork, 90_000),
      ("all regain network", 100_000, "all", "", .regainNetwork, nil),
      ("20 % of samsung flap every 5 s for 20 s", 20_000, "any", "samsung", .flap(every: 5000), 20_000),
      ("2 % of factory sk gpus fail for 30 s", 2000, "factory", "sk", .failGPUs, 30_000),
      ("all gpus recover", 100_000, "all", "", .healGPUs, nil),
    ] as [(String, Int, String, String, ScenarioAction, Int64?)])
  func reads(text: String, share: Int, kind: String, name: String, action: ScenarioAction, time: Int64?) throws {
    let event = try EventSentence.parse(text)
    #expect(event.perHundredThousand == share)
    #expect(event.target == ScenarioTarget(kind: try #require(ScenarioTarget.Kind(rawValue: kind)), name: name))
    #expect(event.action == action)
    #expect(event.forMilliseconds == time)
  }

  @Test(
    "what cannot be read is named with what was expected",
    arguments: [
      ("", "whom it is about"), ("all", "what happens"), ("all explode", "'explode' is no event"),
      ("10 of samsung vanish", "a share such as"), ("0 % of samsung vanish", "a share such as"),
      ("101 % of samsung vanish", "to 100 %"), ("10 % samsung vanish", "'of' after the share"),
      ("factory", "the name of the factory"), ("all power", "'normal'"), ("all power -101 %", "from -100 %"),
      ("all power 20 kW", "a change such as"), ("all power +20 % over", "a time after 'over'"),
      ("all power +20 % over 0 s", "a time of 0"), ("all power +20 % in 5 s", "the end of the sentence"),
      ("all ramp 90 %", "'to' after 'ramp'"), ("all ramp to 101 %", "from 0 %"), ("all lose hope", "'network'"),
      ("all flap", "'every TIME'"), ("all flap every 5 s", "'for TIME'"), ("all clock", "with its sign"),
      ("all clock +500 d", "at most 400 d"), ("all clock +1 year", "a time with its sign"),
      ("all return for 5 s", "'for' after an event"), ("all vanish for", "a time after 'for'"),
      ("all vanish for 5 lightyears", "a time after 'for'"), ("all vanish now", "the end of the sentence"),
    ])
  func refuses(text: String, expected: String) {
    do {
      let event = try EventSentence.parse(text)
      Issue.record("'\(text)' was read as \(event)")
    } catch {
      #expect("\(error)".contains(expected), "\(error)")
    }
  }
}
