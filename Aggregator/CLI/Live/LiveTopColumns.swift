internal import BongsuReports

/// The columns of the live view, as many as its width has room for. Pure.
///
/// Widths of figures are fixed, so that nothing moves sideways while numbers change; the name takes the rest. Power,
/// the estimated part and coverage are always there.
struct LiveTopColumns {
  private enum Column: CaseIterable {
    case power, estimated, utilization, trend, energy, granted, busy, idle, reporting, coverage

    var title: String {
      switch self {
      case .power: "POWER"
      case .estimated: "ESTIMATED"
      case .utilization: "UTIL"
      case .trend: "LAST MINUTE"
      case .energy: "ENERGY"
      case .granted: "GRANTED"
      case .busy: "BUSY"
      case .idle: "IDLE"
      case .reporting: "REPORTING"
      case .coverage: "COVERAGE"
      }
    }

    /// What it sorts by, for the mark in the heading.
    var order: TopOrder? {
      switch self {
      case .power: .power
      case .estimated: .estimated
      case .utilization: .utilization
      case .energy: .energy
      case .idle: .idle
      case .coverage: .coverage
      case .trend, .granted, .busy, .reporting: nil
      }
    }

    var width: Int {
      switch self {
      case .power: 9
      case .estimated: 10
      case .utilization: 7
      case .trend: Trend.columns
      case .energy: 9
      case .granted, .busy, .idle: 8
      case .reporting: 15
      case .coverage: 9
      }
    }

    /// Those with the highest number go first when the window is narrow; 0 stays.
    var expendability: Int {
      switch self {
      case .power, .estimated, .coverage: 0
      case .utilization: 1
      case .trend: 2
      case .reporting: 3
      case .granted: 4
      case .idle: 5
      case .busy: 6
      case .energy: 7
      }
    }
  }

  private static let nameColumnsMin = 16
  private let view: LiveTop
  private let columns: [Column]
  private let nameWidth: Int

  init(_ view: LiveTop) {
    self.view = view
    var columns = Column.allCases.filter { $0 != .granted || view.level == .allocations }
    func used(_ columns: [Column]) -> Int { columns.reduce(2) { $0 + 1 + $1.width } }
    while used(columns) + Self.nameColumnsMin > view.columns,
      let worst = columns.max(by: { $0.expendability < $1.expendability }), worst.expendability > 0
    {
      columns.removeAll { $0 == worst }
    }
    self.columns = columns
    let widest = view.rows.reduce(Self.nameColumnsMin) { max($0, DisplayWidth.columns(Self.name(of: $1, in: view))) }
    nameWidth = max(1, min(view.columns - used(columns), max(widest, 32)))
  }

  func headings() -> [LiveTopView.Span] {
    let order = view.report?.order ?? view.order
    let mark = order == .name ? "▼" : ""
    var line = "  " + Self.left(view.level.rawValue.uppercased() + mark, nameWidth)
    for column in columns {
      line += " " + Self.right(column.title + (column.order == order ? "▼" : ""), column.width)
    }
    return [LiveTopView.Span(line, .heading)]
  }

  func line(_ row: TopRow, isSelected: Bool) -> [LiveTopView.Span] {
    var spans = [
      LiveTopView.Span((isSelected ? "▸ " : "  ") + Self.left(Self.name(of: row, in: view), nameWidth))
    ]
    for column in columns {
      let (text, emphasis) = cell(column, row)
      spans.append(LiveTopView.Span(" " + Self.right(text, column.width), emphasis))
    }
    guard isSelected else { return spans }
    // One colour for the whole line, so that the selection is seen as one; the text still says what is wrong.
    return [LiveTopView.Span(spans.map(\.text).joined(), .selected)]
  }

  private func cell(_ column: Column, _ row: TopRow) -> (text: String, emphasis: Emphasis) {
    switch column {
    case .power:
      return (row.gpusReporting > 0 ? UnitText.power(milliwatts: row.measuredMilliwatts) : UnitText.unknown, .none)
    case .estimated:
      guard view.report?.hasEstimates ?? false else { return (UnitText.unknown, .faint) }
      return row.estimatedMilliwatts == 0
        ? ("0 W", .faint) : ("+" + UnitText.power(milliwatts: row.estimatedMilliwatts), .warning)
    case .utilization: return (UnitText.percent(row.utilizationRatio), .none)
    case .trend: return (view.trend(of: row), .none)
    case .energy: return (UnitText.energy(millijoules: row.energyMillijoules), .none)
    case .granted: return (row.gpusGranted.map { UnitText.count(Int64($0)) } ?? "", .none)
    case .busy: return (UnitText.count(Int64(row.gpusBusy)), .none)
    case .idle: return (UnitText.count(Int64(row.gpusIdle)), .none)
    case .reporting:
      return ("\(UnitText.count(Int64(row.gpusReporting)))/\(UnitText.count(Int64(row.gpusExpected)))", .none)
    case .coverage:
      return (UnitText.coverage(row.coverageRatio), TopTable.emphasis(ofCoverage: row.coverageRatio))
    }
  }

  /// What a row is called here: without the part of its identifier that the place above says already.
  private static func name(of row: TopRow, in view: LiveTop) -> String {
    var text = row.id
    switch view.level {
    case .allocations:
      text =
        String(repeating: "  ", count: min(row.depth, 16))
        + (row.id.split(separator: "/").last.map(String.init) ?? row.id)
    case .halls where view.filter.factory != nil: text = row.hall ?? text
    case .racks where view.filter.hall != nil: text = row.rack ?? text
    case .gpus where view.filter.node != nil: text = row.id.split(separator: "/").last.map(String.init) ?? text
    default: break
    }
    let isNamed = view.level == .allocations || view.level == .factories || view.level == .halls
    return isNamed && !row.name.isEmpty && row.name != row.id
      && row.name != row.id.split(separator: "/").last.map(String.init)
      ? "\(text)  \(row.name)" : text
  }

  private static func left(_ text: String, _ width: Int) -> String {
    let text = DisplayWidth.cut(TextTable.withoutControls(text), to: width)
    return text + String(repeating: " ", count: max(0, width - DisplayWidth.columns(text)))
  }

  private static func right(_ text: String, _ width: Int) -> String {
    let text = DisplayWidth.cut(text, to: width)
    return String(repeating: " ", count: max(0, width - DisplayWidth.columns(text))) + text
  }
}
