internal import BongsuReports

/// The live view of `bongsu top --watch` as a value: keys, answers and sizes go in, a question and a picture come out.
/// Pure; ``LiveTopView`` draws it and ``LiveTerminal`` moves the bytes.
struct LiveTop: Sendable {
  /// Order of the tabs, and of what Enter leads into.
  static let tabs: [TopLevel] = [.nation, .factories, .halls, .racks, .nodes, .gpus, .allocations]
  private static let orders: [Character: TopOrder] = [
    "p": .power, "u": .utilization, "e": .energy, "m": .estimated, "c": .coverage, "i": .idle, "n": .name,
  ]
  private static let orderCycle: [TopOrder] = [.power, .utilization, .energy, .estimated, .coverage, .idle, .name]
  private static let searchCharactersMax = 64

  /// What a row's figures depend on: the same name is another sum under another allocation.
  private struct TrendKey: Hashable, Sendable {
    var level: TopLevel
    var filter: TopFilter
    var id: String
  }

  /// What the view looked at before Enter led deeper.
  private struct Place: Sendable {
    var level: TopLevel
    var filter: TopFilter
    var search: String
    var selected: String?
  }

  private(set) var level: TopLevel
  private(set) var order: TopOrder
  private(set) var filter: TopFilter
  private(set) var search = ""
  private(set) var isTyping = false
  private(set) var showsHelp = false
  private(set) var isPaused = false
  private(set) var isOver = false
  private(set) var columns: Int
  private(set) var lines: Int
  private(set) var report: TopReport?
  private(set) var total: TopReport?
  /// Why the newest question has no answer, and since when; `nil` while answers come.
  private(set) var failure: (text: String, sinceUnixMilliseconds: Int64)?
  /// Position of the selected row in `report`, and of the first row on the screen.
  private(set) var selection = 0
  private(set) var firstVisible = 0
  /// The row that the selection follows as rows change places; `nil` keeps it at the top.
  private var followed: String?
  private var places: [Place] = []
  private var trends: [TrendKey: Trend] = [:]

  init(level: TopLevel, order: TopOrder, filter: TopFilter, search: String, columns: Int, lines: Int) {
    self.level = level
    self.order = order
    self.filter = filter
    self.search = search
    self.columns = columns
    self.lines = lines
  }

  /// What to ask now. More rows than fit, so that moving down meets them; more the farther down the view is.
  var question: LiveQuestion {
    let wanted = firstVisible + 3 * max(visibleRows, 1) + 1
    // In steps, so that not every key asks anew.
    let limit = min(ReportLimits.topRowsMax, max(100, (wanted + 99) / 100 * 100))
    return LiveQuestion(level: level, order: order, filter: filter, search: search, limit: limit)
  }

  /// Lines that are left for rows.
  var visibleRows: Int { max(0, lines - LiveTopView.linesAround) }

  var rows: [TopRow] { report?.rows ?? [] }

  var selectedRow: TopRow? { rows.indices.contains(selection) ? rows[selection] : nil }

  /// The last minute of a row.
  func trend(of row: TopRow) -> String {
    guard let tick = report?.closedTickUnixMilliseconds else { return "" }
    return trends[trendKey(row.id)]?.text(endingAt: tick) ?? ""
  }

  // MARK: What comes from outside

  mutating func resize(columns: Int, lines: Int) {
    self.columns = columns
    self.lines = lines
    keepSelectionVisible()
  }

  /// Takes an answer; one to a question that is not asked any more is left aside.
  mutating func take(_ answer: TopReport, total: TopReport?, to asked: LiveQuestion) {
    guard question.isAnswered(by: asked) else { return }
    failure = nil
    guard !isPaused || report == nil else { return }
    report = answer
    self.total = total
    remember(answer)
    if let followed, let place = answer.rows.firstIndex(where: { $0.id == followed }) { selection = place }
    selection = min(selection, max(0, answer.rows.count - 1))
    keepSelectionVisible()
  }

  /// Notes that there was no answer; the last picture stays, and its age is told.
  mutating func fail(_ text: String, atUnixMilliseconds now: Int64) {
    failure = (text, failure?.sinceUnixMilliseconds ?? now)
  }

  mutating func end() { isOver = true }

  // MARK: Keys

  mutating func press(_ key: LiveKey) {
    if key == .interrupt { return end() }
    if isTyping { return type(key) }
    if showsHelp, key != .character("q") {
      showsHelp = false
      return
    }
    switch key {
    case .up, .character("k"): select(selection - 1)
    case .down, .character("j"): select(selection + 1)
    case .pageUp: select(selection - max(1, visibleRows))
    case .pageDown: select(selection + max(1, visibleRows))
    case .home, .character("g"):
      select(0)
      followed = nil
    case .end, .character("G"): select(rows.count - 1)
    case .enter, .right, .character("l"): drill()
    case .backspace, .left, .character("h"): goUp()
    case .tab: changeTab(by: 1)
    case .backTab: changeTab(by: -1)
    case .escape: setSearch("")
    case .character(let character): press(character)
    case .interrupt, .redraw: break
    }
  }

  private mutating func press(_ character: Character) {
    switch character {
    case "q": end()
    case "?": showsHelp = true
    case "/": isTyping = true
    case " ": isPaused.toggle()
    case "s": sort(by: Self.orderCycle[((Self.orderCycle.firstIndex(of: order) ?? 0) + 1) % Self.orderCycle.count])
    case "1"..."9":
      guard let number = character.wholeNumberValue, Self.tabs.indices.contains(number - 1) else { return }
      show(Self.tabs[number - 1])
    default:
      if let order = Self.orders[character] { sort(by: order) }
    }
  }

  /// Keys while a filter is typed: it works as it grows, Enter keeps it, Escape drops it.
  private mutating func type(_ key: LiveKey) {
    switch key {
    case .character(let character):
      if search.count < Self.searchCharactersMax { setSearch(search + String(character)) }
    case .backspace:
      if search.isEmpty {
        isTyping = false
      } else {
        setSearch(String(search.dropLast()))
      }
    case .enter: isTyping = false
    case .escape:
      isTyping = false
      setSearch("")
    case .up, .down, .pageUp, .pageDown:
      isTyping = false
      press(key)
    default: break
    }
  }

  /// Filters what is there at once; the answer to the new question completes it.
  private mutating func setSearch(_ text: String) {
    guard text != search else { return }
    search = text
    if var report {
      report.rows.removeAll { !TopSelection.matches($0, text) }
      self.report = report
    }
    (selection, firstVisible, followed) = (0, 0, nil)
  }

  private mutating func sort(by order: TopOrder) {
    self.order = order
    if followed == nil { (selection, firstVisible) = (0, 0) }
  }

  private mutating func select(_ place: Int) {
    selection = max(0, min(place, rows.count - 1))
    followed = selectedRow?.id
    keepSelectionVisible()
  }

  private mutating func changeTab(by step: Int) {
    let place = Self.tabs.firstIndex(of: level) ?? 0
    show(Self.tabs[(place + step + Self.tabs.count) % Self.tabs.count])
  }

  /// Shows `level` of the place that is looked at.
  private mutating func show(_ level: TopLevel) {
    guard level != self.level else { return }
    self.level = level
    if level != .nodes, level != .gpus { filter.node = nil }
    search = ""
    forgetRows()
  }

  /// Into the selected row: a factory's halls, a hall's racks, a rack's nodes, a node's GPUs, an allocation's factories.
  private mutating func drill() {
    guard let row = selectedRow else { return }
    var deeper = filter
    let next: TopLevel
    switch level {
    case .nation: next = .factories
    case .allocations:
      deeper.allocation = row.id
      next = .factories
    case .factories:
      deeper.factory = row.id
      next = .halls
    case .halls:
      (deeper.factory, deeper.hall) = (row.factory, row.hall)
      next = .racks
    case .racks:
      (deeper.factory, deeper.hall, deeper.rack) = (row.factory, row.hall, row.rack)
      next = .nodes
    case .nodes:
      deeper.node = row.id
      next = .gpus
    case .gpus: return
    }
    places.append(Place(level: level, filter: filter, search: search, selected: row.id))
    isPaused = false
    filter = deeper
    level = next
    search = ""
    forgetRows()
  }

  private mutating func goUp() {
    guard let place = places.popLast() else { return }
    isPaused = false
    level = place.level
    filter = place.filter
    search = place.search
    forgetRows()
    followed = place.selected
  }

  // MARK: Rows

  /// Before the answer about another place is there, nothing is shown rather than the rows of the old one.
  private mutating func forgetRows() {
    report = nil
    total = nil
    selection = 0
    firstVisible = 0
    followed = nil
  }

  private mutating func keepSelectionVisible() {
    guard visibleRows > 0 else { return }
    firstVisible = min(firstVisible, selection)
    firstVisible = max(firstVisible, selection - visibleRows + 1)
    firstVisible = min(firstVisible, max(0, rows.count - visibleRows))
  }

  private mutating func remember(_ answer: TopReport) {
    guard let tick = answer.closedTickUnixMilliseconds else { return }
    for row in answer.rows where row.gpusReporting > 0 || row.estimatedMilliwatts > 0 {
      trends[trendKey(row.id), default: Trend()].add(Double(row.totalMilliwatts), unixMilliseconds: tick)
    }
    trends = trends.filter { !$0.value.isOver(at: tick) }
  }

  private func trendKey(_ id: String) -> TrendKey {
    // A factory, hall, rack, node or GPU lies in one place only: there the place adds nothing.
    let isCut = level == .nation || level == .allocations
    return TrendKey(level: level, filter: isCut ? filter : TopFilter(allocation: filter.allocation), id: id)
  }
}
