import BongsuReports
import Testing

@testable import bongsu

/// The live view as a value: keys and answers in, question and picture out.
@Suite struct LiveTopTests {
  private static let tick: Int64 = 1_795_253_400_000

  private func view(_ level: TopLevel = .factories, columns: Int = 140, lines: Int = 24) -> LiveTop {
    LiveTop(level: level, order: .power, filter: TopFilter(), search: "", columns: columns, lines: lines)
  }

  private func row(_ id: String, watts: Int64 = 1000, estimated: Int64 = 0, parent: String? = nil) -> TopRow {
    var row = TopRow(id: id, name: id, depth: parent == nil ? 0 : 1, parent: parent)
    let parts = id.split(separator: "/").map(String.init)
    row.factory = parts[0]
    row.hall = parts.count > 1 ? parts[1] : nil
    row.rack = parts.count > 2 ? parts[2] : nil
    row.measuredMilliwatts = watts * 1000
    row.estimatedMilliwatts = estimated * 1000
    (row.gpusExpected, row.gpusReporting, row.gpusBusy) = (8, estimated > 0 ? 6 : 8, 5)
    return row
  }

  /// Answers the view's own question with `rows`, as the aggregator would.
  private func answer(_ view: inout LiveTop, _ rows: [TopRow], hasEstimates: Bool = true, second: Int64 = 0) {
    let question = view.question
    let report = TopReport(
      TopRows(closedTickUnixMilliseconds: Self.tick + second * 1000, rows: rows, hasEstimates: hasEstimates),
      to: TopRequest(
        level: question.level, order: question.order, limit: question.limit, filter: question.filter,
        search: question.search))
    view.take(report, total: nil, to: question)
  }

  private func press(_ view: inout LiveTop, _ keys: LiveKey...) { for key in keys { view.press(key) } }

  private func picture(_ view: LiveTop) -> [String] {
    LiveTopView.lines(view, atUnixMilliseconds: Self.tick, style: .plain)
  }

  @Test("Enter leads from a factory through hall, rack and node to its GPUs, Backspace the same way back")
  func drill() {
    var view = view()
    answer(&view, [row("f1"), row("f2", watts: 900)])
    press(&view, .down, .enter)
    #expect(view.question.level == .halls && view.question.filter == TopFilter(factory: "f2"))
    #expect(view.report == nil, "the rows of the level above would be lies here")
    answer(&view, [row("f2/h1")])
    press(&view, .enter)
    #expect(view.question.filter == TopFilter(factory: "f2", hall: "h1") && view.question.level == .racks)
    answer(&view, [row("f2/h1/r1")])
    press(&view, .right)
    #expect(view.question.level == .nodes && view.question.filter.rack == "r1")
    answer(&view, [row("n1")], hasEstimates: false)
    press(&view, .character("l"))
    #expect(view.question.level == .gpus && view.question.filter.node == "n1")
    #expect(view.question.total.level == .nodes && view.question.total.limit == 1)
    answer(&view, [row("n1/GPU-1")])
    press(&view, .enter)
    #expect(view.question.level == .gpus, "there is nothing below a GPU")
    press(&view, .backspace, .left, .character("h"), .backspace)
    #expect(view.question.level == .factories && view.question.filter.isEmpty)
    answer(&view, [row("f1"), row("f2", watts: 900)])
    #expect(view.selectedRow?.id == "f2", "back where it was")
    press(&view, .backspace)
    #expect(view.question.level == .factories)
  }

  @Test("an allocation leads into its share of the factories, and the share stays on the way down")
  func allocations() {
    var view = view(.allocations)
    answer(&view, [row("msit"), row("msit/naver", parent: "msit")])
    press(&view, .down, .enter)
    #expect(view.question.level == .factories && view.question.filter.allocation == "msit/naver")
    answer(&view, [row("f1")])
    press(&view, .enter)
    #expect(view.question.filter == TopFilter(factory: "f1", allocation: "msit/naver"))
  }

  @Test("the selection follows its row as rows change places, and stays on top until it was moved")
  func selection() {
    var view = view()
    answer(&view, [row("a", watts: 3), row("b", watts: 2), row("c", watts: 1)])
    answer(&view, [row("a", watts: 1), row("b", watts: 2), row("c", watts: 3)])
    #expect(view.selectedRow?.id == "c")
    press(&view, .down)
    #expect(view.selectedRow?.id == "b")
    answer(&view, [row("a", watts: 2), row("b", watts: 1), row("c", watts: 3)])
    #expect(view.selectedRow?.id == "b" && view.selection == 2)
    press(&view, .home)
    answer(&view, [row("a", watts: 9), row("b", watts: 1), row("c", watts: 3)])
    #expect(view.selectedRow?.id == "a")
    answer(&view, [])
    press(&view, .down, .up, .end, .pageDown, .enter)
    #expect(view.selectedRow == nil && view.level == .factories)
  }

  @Test("a screen moves over more rows than it has lines, and asks for more the farther down it is")
  func scrolling() {
    var view = view(.racks, lines: 15)
    let rows = (0..<400).map { row("f/h/r\($0)", watts: Int64(1000 - $0)) }
    answer(&view, rows)
    #expect(view.question.limit == 100 && view.visibleRows == 10)
    press(&view, .pageDown, .pageDown)
    #expect(view.selection == 20 && view.firstVisible == 11)
    for _ in 0..<6 { press(&view, .pageDown) }
    #expect(view.question.limit == 200)
    answer(&view, rows)
    press(&view, .end)
    #expect(view.selection == 199)
    view.resize(columns: 140, lines: 40)
    #expect(view.firstVisible + view.visibleRows >= 200)
    view.resize(columns: 140, lines: 8)
    #expect((view.firstVisible..<(view.firstVisible + 3)).contains(view.selection))
  }

  @Test("sort keys ask for their order and mark the column that the shown rows are sorted by")
  func sorting() {
    var view = view()
    answer(&view, [row("a"), row("b")])
    #expect(picture(view)[3].contains("POWER▼"))
    press(&view, .character("c"))
    #expect(view.question.order == .coverage)
    #expect(picture(view)[3].contains("POWER▼"), "the old rows are still shown")
    answer(&view, [row("a", estimated: 1), row("b")])
    #expect(picture(view)[3].contains("COVERAGE▼") && view.rows.map(\.id) == ["a", "b"])
    for (key, order) in [
      ("p", TopOrder.power), ("u", .utilization), ("e", .energy), ("m", .estimated), ("i", .idle), ("n", .name),
    ] {
      press(&view, .character(Character(key)))
      #expect(view.question.order == order)
    }
    press(&view, .character("s"))
    #expect(view.question.order == .power, "the round of orders begins again")
  }

  @Test("a filter works as it is typed; Enter keeps it, Escape drops it, and q is a letter in it")
  func filter() {
    var view = view()
    answer(&view, [row("sk-ulsan"), row("naver-Qsejong")])
    press(&view, .character("/"), .character("q"))
    #expect(!view.isOver && view.question.search == "q" && view.rows.map(\.id) == ["naver-Qsejong"])
    #expect(picture(view)[2].hasSuffix("/q▏"))
    press(&view, .enter)
    #expect(picture(view)[2].hasSuffix("/q"))
    press(&view, .escape)
    #expect(view.question.search.isEmpty)
    press(&view, .character("/"), .character("x"), .backspace, .backspace)
    #expect(view.question.search.isEmpty && !view.isTyping)
    press(&view, .character("/"), .character("z"))
    answer(&view, [row("sk-ulsan")])
    #expect(picture(view)[4].contains("no name contains \"z\""))
  }

  @Test("tabs keep the place, but not the node above levels that it does not narrow")
  func tabs() {
    var view = view(.nodes)
    answer(&view, [row("n1")])
    press(&view, .enter)
    #expect(view.question.filter.node == "n1")
    press(&view, .character("2"))
    #expect(view.question.level == .factories && view.question.filter.node == nil)
    press(&view, .tab)
    #expect(view.question.level == .halls)
    press(&view, .backTab, .backTab, .backTab)
    #expect(view.question.level == .allocations)
    press(&view, .character("9"))
    #expect(view.question.level == .allocations)
  }

  @Test("an answer to another question is left aside, an answer with another number of rows is not")
  func lateAnswers() {
    var view = view()
    let old = view.question
    press(&view, .character("3"))
    let report = TopReport(
      TopRows(closedTickUnixMilliseconds: Self.tick, rows: [row("f")]), to: TopRequest(level: .factories))
    view.take(report, total: nil, to: old)
    #expect(view.report == nil)
    var more = view.question
    more.limit += 100
    view.take(report, total: nil, to: more)
    #expect(view.report != nil)
  }

  @Test("a failure is told with its age while the last figures stay, and goes with the next answer")
  func failure() {
    var view = view()
    answer(&view, [row("a")])
    view.fail("connection refused", atUnixMilliseconds: Self.tick - 65_000)
    view.fail("connection refused", atUnixMilliseconds: Self.tick - 1000)
    #expect(picture(view).last == "figures are old, no answer for 1 min 5 s: connection refused")
    #expect(picture(view)[4].contains("1.000 kW"))
    answer(&view, [row("a")])
    #expect(picture(view).last?.contains("2026-11-21T09:30:00Z") == true)
  }

  @Test("a held picture does not change, and says so")
  func paused() {
    var view = view()
    answer(&view, [row("a", watts: 1)])
    press(&view, .character(" "))
    answer(&view, [row("a", watts: 2)])
    #expect(view.rows[0].measuredMilliwatts == 1000 && picture(view).last?.hasPrefix("PAUSED") == true)
    press(&view, .character(" "))
    answer(&view, [row("a", watts: 3)])
    #expect(view.rows[0].measuredMilliwatts == 3000)
  }

  @Test(
    "every row says its power, its estimated part and its coverage at any width, and no line is wider than the screen")
  func widths() {
    var view = view()
    answer(&view, [row("naver-sejong-with-a-long-name", watts: 123_456, estimated: 2345), row("울산-에스케이")])
    for columns in [400, 140, 100, 80, 60, 50] {
      view.resize(columns: columns, lines: 24)
      let lines = picture(view)
      #expect(lines.count == 24 && lines.allSatisfy { DisplayWidth.columns($0) <= columns }, "\(columns) columns")
      #expect(lines[4].contains("123.5 kW") && lines[4].contains("+2.345 kW") && lines[4].contains("75.0 %"))
      #expect(lines[5].contains("0 W") && lines[5].contains("100.0 %"))
    }
    for (columns, lines) in [(1, 1), (2, 2), (10, 3), (20, 5), (40, 6)] {
      view.resize(columns: columns, lines: lines)
      let picture = picture(view)
      #expect(picture.count == max(lines, 1) && picture.allSatisfy { DisplayWidth.columns($0) <= columns })
    }
  }

  @Test("where nothing is estimated the estimated part is unknown, not zero")
  func withoutEstimates() {
    var view = view(.nodes)
    answer(&view, [row("n1", watts: 5000)], hasEstimates: false)
    #expect(picture(view)[4].contains("5.000 kW          -"))
  }

  @Test("the last minute of a row is drawn, and is still there after a look at another level")
  func trend() {
    var view = view()
    for second in 0..<60 { answer(&view, [row("f1", watts: 1000 + Int64(second) * 100)], second: Int64(second)) }
    #expect(picture(view)[4].contains("▁▁▂▃▃▄▅▆▆▇██"))
    press(&view, .enter)
    answer(&view, [row("f1/h1")], second: 60)
    press(&view, .backspace)
    answer(&view, [row("f1", watts: 7000)], second: 61)
    #expect(picture(view)[4].contains("█"))
  }

  @Test("names cannot move the cursor, and nothing is coloured in plain style")
  func hostileNames() {
    var view = view()
    answer(&view, [row("a\u{1B}[2Jb\n")])
    #expect(picture(view).allSatisfy { !$0.contains("\u{1B}") && !$0.contains("\n") })
    let style = TerminalStyle(isTerminal: true, environment: ["TERM": "xterm"])
    #expect(LiveTopView.lines(view, atUnixMilliseconds: 0, style: style)[4].hasPrefix("\u{1B}[7m▸ a?[2Jb?"))
  }

  @Test("? shows the keys until the next one, q and Ctrl-C end it from anywhere")
  func helpAndQuit() {
    var view = view()
    press(&view, .character("?"))
    #expect(picture(view).contains { $0.contains("Backspace") })
    press(&view, .enter)
    #expect(!view.showsHelp && view.level == .factories)
    press(&view, .character("?"), .character("q"))
    #expect(view.isOver)
    var other = self.view()
    press(&other, .character("/"), .interrupt)
    #expect(other.isOver)
  }
}
