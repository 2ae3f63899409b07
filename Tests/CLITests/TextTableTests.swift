import Testing

@testable import bongsu

@Suite struct TextTableTests {
  @Test(
    "wide characters take two columns, combining ones none",
    arguments: [("abc", 3), ("봉수", 4), ("e\u{301}", 1), ("漢字kana", 8), ("🇰🇷", 1), ("🔥", 2), ("ﾊ", 1), ("Ａ", 2), ("", 0)])
  func widths(text: String, columns: Int) {
    #expect(DisplayWidth.columns(text) == columns)
  }

  @Test("text is cut at whole characters, and wide ones never cross the edge")
  func cutting() {
    #expect(DisplayWidth.cut("봉수대", to: 6) == "봉수대")
    #expect(DisplayWidth.cut("봉수대", to: 5) == "봉수…")
    #expect(DisplayWidth.cut("봉수대", to: 4) == "봉…")
    #expect(DisplayWidth.cut("봉수대", to: 0) == "")
  }

  @Test("columns line up on screen whatever is in them, and lines have no trailing blanks")
  func alignment() {
    var table = TextTable(columns: [("NAME", .left), ("POWER", .right), ("NOTE", .left)])
    table.add(["울산 SK", "3.000 GW", ""])
    table.add(["a", "1 W", "x"])
    table.add(["longer name", "", "y"])
    #expect(
      table.lines(style: .plain) == [
        "NAME            POWER  NOTE",
        "울산 SK      3.000 GW",
        "a                 1 W  x",
        "longer name            y",
      ])
  }

  @Test("whatever could move the cursor is shown as a question mark")
  func controls() {
    var table = TextTable(columns: [("N", .left)])
    table.add([TextTable.Cell("a\u{1B}[2J\nb\u{7F}\u{2028}\u{9B}31m")])
    #expect(table.lines(style: .plain)[1] == "a?[2J?b???31m")
  }

  @Test(
    "colour is for terminals whose people did not decline it",
    arguments: [
      (true, ["TERM": "xterm"], true), (false, ["TERM": "xterm"], false), (true, ["TERM": "dumb"], false),
      (true, [:], false), (true, ["TERM": "xterm", "NO_COLOR": "1"], false),
      (true, ["TERM": "xterm", "NO_COLOR": ""], true),
    ] as [(Bool, [String: String], Bool)])
  func colour(isTerminal: Bool, environment: [String: String], expected: Bool) {
    let style = TerminalStyle(isTerminal: isTerminal, environment: environment)
    #expect(style.isColoured == expected)
    #expect(style.text("x", .alarm) == (expected ? "\u{1B}[1;31mx\u{1B}[0m" : "x"))
  }

  @Test("a frame fits its window and says what it hides")
  func frames() {
    #expect(LiveScreen.frame("a\nb\n", rows: 2) == "\u{1B}[Ha\u{1B}[K\r\nb\u{1B}[K\u{1B}[J")
    let cut = LiveScreen.frame("a\nb\nc\nd\n", rows: 3)
    #expect(cut.contains("b\u{1B}[K\r\n… 2 more lines") && !cut.contains("c\u{1B}"))
  }

  @Test("cells of CSV are quoted where they must be")
  func csv() {
    #expect(CSVText.line(["a", "b,c", "d\"e", "f\ng", ""]) == "a,\"b,c\",\"d\"\"e\",\"f\ng\",\r\n")
  }
}
