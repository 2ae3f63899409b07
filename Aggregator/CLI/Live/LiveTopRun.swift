internal import BongsuReports
internal import Foundation

/// Runs the live view: asks, draws, and passes keys on.
struct LiveTopRun {
  private enum Event: Sendable {
    case terminal(LiveTerminal.Event)
    case answer(TopReport, total: TopReport?, to: LiveQuestion)
    case failure(String, to: LiveQuestion)
    /// A moment has passed since an escape byte came alone.
    case escapeIsOver(Int)
    case second
  }

  let client: AggregatorClient
  let style: TerminalStyle
  /// Ends after this many answers; `nil` runs until somebody quits.
  let answers: Int?

  /// Runs until it is quit. The first answer must succeed, before the terminal is touched.
  func run(_ start: LiveTop) async throws {
    var view = start
    let first = try await Self.ask(view.question, client)
    view.take(first.report, total: first.total, to: view.question)
    let terminal = try LiveTerminal()
    defer { terminal.end() }
    let (events, post) = AsyncStream.makeStream(of: Event.self)
    let stream = terminal.events
    let keys = Task { for await event in stream { post.yield(.terminal(event)) } }
    let clock = Task { await Self.tick(post) }
    var asking = asker(view.question, post, after: CommandLimits.watchInterval)
    defer {
      for task in [keys, clock, asking] { task.cancel() }
    }
    Self.resize(&view)
    draw(view, terminal)
    var decoder = LiveKeyDecoder()
    var fed = 0
    var left = answers.map { $0 - 1 }
    for await event in events {
      let asked = view.question
      switch event {
      case .terminal(.bytes(let bytes)):
        for key in decoder.feed(bytes) { view.press(key) }
        fed += 1
        if decoder.isPending { Self.post(.escapeIsOver(fed), to: post, after: CommandLimits.escapeInterval) }
      case .escapeIsOver(let number):
        if number == fed { for key in decoder.flush() { view.press(key) } }
      case .terminal(.resized), .second: Self.resize(&view)
      case .terminal(.stopped): view.end()
      case .terminal(.suspended):
        try terminal.suspend()
        Self.resize(&view)
      case .answer(let report, let total, let question):
        view.take(report, total: total, to: question)
        left = left.map { $0 - 1 }
      case .failure(let text, let question):
        if question == view.question { view.fail(text, atUnixMilliseconds: Self.now()) }
        left = left.map { $0 - 1 }
      }
      if view.isOver { return }
      if view.question != asked {
        asking.cancel()
        asking = asker(view.question, post, after: .zero)
      }
      draw(view, terminal)
      if let left, left <= 0 { return }
    }
  }

  /// Asks `question` once a second, the first time after `delay`.
  private func asker(
    _ question: LiveQuestion, _ post: AsyncStream<Event>.Continuation, after delay: Duration
  ) -> Task<Void, Never> {
    let client = client
    return Task {
      try? await Task.sleep(for: delay)
      while !Task.isCancelled {
        let next = ContinuousClock.now + CommandLimits.watchInterval
        do {
          let (report, total) = try await Self.ask(question, client)
          post.yield(.answer(report, total: total, to: question))
        } catch {
          if Task.isCancelled { return }
          post.yield(.failure("\(error)", to: question))
        }
        try? await Task.sleep(until: next)
      }
    }
  }

  private static func ask(
    _ question: LiveQuestion, _ client: AggregatorClient
  ) async throws -> (report: TopReport, total: TopReport) {
    async let total = client.get(
      "/api/bongsu/v1/top/\(question.total.level.rawValue)", question.total.parameters, as: TopReport.self)
    let report = try await client.get(
      "/api/bongsu/v1/top/\(question.level.rawValue)", question.parameters, as: TopReport.self)
    return (report.value, try await total.value)
  }

  /// So that the age of old figures is told while no answers come.
  private static func tick(_ post: AsyncStream<Event>.Continuation) async {
    while !Task.isCancelled {
      try? await Task.sleep(for: .seconds(1))
      post.yield(.second)
    }
  }

  private static func post(_ event: Event, to post: AsyncStream<Event>.Continuation, after delay: Duration) {
    Task {
      try? await Task.sleep(for: delay)
      post.yield(event)
    }
  }

  private static func resize(_ view: inout LiveTop) {
    guard let size = StandardOutput.terminalSize else { return }
    view.resize(columns: size.columns, lines: size.rows)
  }

  private func draw(_ view: LiveTop, _ terminal: LiveTerminal) {
    terminal.show(LiveTopView.lines(view, atUnixMilliseconds: Self.now(), style: style))
  }

  private static func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
}
