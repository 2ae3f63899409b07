import BongsuAPI
import FixtureAggregator
import Foundation
import Testing

/// The live view as people use it: on a terminal, with keys, signals and a window that changes its size.
@Suite(.serialized) struct LiveTerminalTests {
  private func onTerminal(
    _ arguments: [String] = [], columns: UInt16 = 120, lines: UInt16 = 24, environment: [String: String] = [:],
    _ body: @escaping @Sendable (PseudoTerminal, FixtureAggregator) async throws -> Void
  ) async throws {
    let fixture = FixtureAggregator()
    try await withServer(APISources(live: fixture)) { port async throws in
      let terminal = try PseudoTerminal(
        ["top", "--watch", "--url", "http://127.0.0.1:\(port)"] + arguments, columns: columns, lines: lines,
        environment: environment)
      defer { terminal.close() }
      try await body(terminal, fixture)
    }
  }

  @Test("it resizes, sorts, filters, drills down and up, quits, and the terminal is as it was")
  func walk() async throws {
    try await onTerminal { terminal, _ async throws in
      #expect(
        try await terminal.sees { $0.count == 24 && $0.contains { $0.contains("naver-sejong") } }, "\(terminal.screen)")
      #expect(terminal.screen[3].contains("POWER▼") && terminal.screen[4].hasPrefix("▸ sk-ulsan"))
      #expect(
        terminal.screen.contains { $0.contains("naver-sejong") && $0.contains("+2.800 kW") && $0.contains("87.5 %") })
      terminal.resize(columns: 70, lines: 12)
      #expect(try await terminal.sees { $0.count == 12 }, "\(terminal.screen)")
      #expect(terminal.screen[3].contains("ESTIMATED") && !terminal.screen[3].contains("ENERGY"))
      terminal.resize(columns: 160, lines: 40)
      #expect(try await terminal.sees { $0.count == 40 && $0[3].contains("ENERGY") }, "\(terminal.screen)")
      terminal.type("c")
      #expect(try await terminal.sees { $0[3].contains("COVERAGE▼") }, "\(terminal.screen)")
      terminal.type("/NAVER\r")
      #expect(
        try await terminal.sees {
          $0[2].hasSuffix("/NAVER") && $0.filter { $0.contains("GPUs report") || $0.contains("sk-ulsan") }.count == 1
        },
        "\(terminal.screen)")
      #expect(terminal.screen[4].hasPrefix("▸ naver-sejong"))
      terminal.type("\r")
      #expect(
        try await terminal.sees { $0[2].hasPrefix("all › naver-sejong") && $0[4].contains("hall-") },
        "\(terminal.screen)")
      terminal.type("\u{1B}[B\r")
      #expect(
        try await terminal.sees { $0[2].hasPrefix("all › naver-sejong › hall-") && $0[4].contains("r") },
        "\(terminal.screen)")
      terminal.type("\u{7F}\u{7F}")
      #expect(
        try await terminal.sees { $0[2].hasPrefix("all  /NAVER") && $0[4].hasPrefix("▸ naver-sejong") },
        "\(terminal.screen)")
      terminal.type("\u{1B}")
      #expect(
        try await terminal.sees { $0[2] == "all" && $0.contains { $0.contains("sk-ulsan") } }, "\(terminal.screen)")
      terminal.type("7")
      #expect(
        try await terminal.sees { $0[1].contains("[7 allocations]") && $0.contains { $0.contains("naver-hosted") } },
        "\(terminal.screen)")
      terminal.type("?")
      #expect(try await terminal.sees { $0.contains { $0.contains("Backspace") } })
      #expect(!terminal.isRestored)
      terminal.type("q")
      #expect(try await terminal.status() == 0)
      #expect(terminal.isRestored)
    }
  }

  @Test("Ctrl-C and the signals of the end give the terminal back", arguments: [0, SIGINT, SIGTERM, SIGHUP])
  func stops(signal: Int32) async throws {
    try await onTerminal { terminal, _ async throws in
      #expect(try await terminal.sees { $0.count == 24 })
      if signal == 0 { terminal.type("\u{3}") } else { kill(try #require(terminal.programID), signal) }
      #expect(try await terminal.status() == 0)
      #expect(terminal.isRestored)
    }
  }

  @Test("a crash gives the terminal back and stays a crash", arguments: [SIGSEGV, SIGABRT, SIGTRAP, SIGQUIT])
  func crashes(signal: Int32) async throws {
    try await onTerminal(environment: ["SWIFT_BACKTRACE": "enable=no"]) { terminal, _ async throws in
      #expect(try await terminal.sees { $0.count == 24 })
      kill(try #require(terminal.programID), signal)
      // What made the session reports a crash of its program this way, as 1 or as the wait status, by its version.
      let status = try await terminal.status()
      #expect(status == 1 || status.map { $0 & 0x7F } == signal, "status \(String(describing: status))")
      #expect(terminal.text.contains("did not exit normally"))
      #expect(terminal.isRestored)
    }
  }

  @Test("Ctrl-Z gives the terminal to the shell, and the way back takes it again")
  func suspends() async throws {
    try await onTerminal { terminal, _ async throws in
      #expect(try await terminal.sees { $0.count == 24 })
      let program = try #require(terminal.programID)
      kill(program, SIGTSTP)
      var isStopped = false
      for _ in 0..<1500 where !isStopped {
        isStopped = try String(contentsOfFile: "/proc/\(program)/stat", encoding: .utf8).contains(") T ")
        try await Task.sleep(for: .milliseconds(20))
      }
      try await Task.sleep(for: .milliseconds(100))
      #expect(isStopped && terminal.isRestored)
      kill(program, SIGCONT)
      for _ in 0..<1500 where terminal.isRestored { try await Task.sleep(for: .milliseconds(20)) }
      #expect(!terminal.isRestored)
      terminal.type("q")
      #expect(try await terminal.status() == 0)
      #expect(terminal.isRestored)
    }
  }

  @Test("an aggregator that does not answer is told of in the last line, and its return is seen")
  func failure() async throws {
    try await onTerminal { terminal, fixture async throws in
      #expect(try await terminal.sees { $0.count == 24 })
      fixture.setFailure(APIError(.notReady, "still replaying", nextStep: "wait"))
      #expect(
        try await terminal.sees {
          $0.last?.contains("figures are old") == true && $0.last?.contains("still replaying") == true
        })
      #expect(terminal.screen.contains { $0.contains("naver-sejong") })
      fixture.setFailure(nil)
      #expect(try await terminal.sees { $0.last?.contains("q quit") == true })
      terminal.type("q")
      #expect(try await terminal.status() == 0)
    }
  }

  @Test("NO_COLOR leaves no colour on the live view, and a terminal without a cursor gets plain tables")
  func plain() async throws {
    try await onTerminal(environment: ["NO_COLOR": "1"]) { terminal, _ async throws in
      #expect(try await terminal.sees { $0.count == 24 })
      terminal.type("q")
      #expect(try await terminal.status() == 0)
      #expect(!terminal.text.contains(/\u{1B}\[[0-9;]*m/))
    }
    try await onTerminal(["--count", "2"], environment: ["TERM": "dumb"]) { terminal, _ async throws in
      #expect(try await terminal.status() == 0)
      #expect(!terminal.text.contains("\u{1B}") && terminal.text.components(separatedBy: "FACTORY").count == 3)
    }
  }
}
