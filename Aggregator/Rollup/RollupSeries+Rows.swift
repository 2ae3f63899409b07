import BongsuModel

/// Numbers of series out of stored rows; see ``TierRow``.
extension RollupSeries {
  public var isQuantile: Bool {
    if case .quantile = source { return true }
    return false
  }

  /// Places in the row of a tick that the number is made of.
  public var tickWords: [Int] {
    let known = [RolledField.reportingNodes, .estimatedGPUs].map { CellLayout.field($0) }
    switch source {
    case .gaugeSum(let slot), .gaugeAverage(let slot): return [0, 1].map { CellLayout.gauge(slot) + $0 }
    case .gaugeMin(let slot): return [1, 2].map { CellLayout.gauge(slot) + $0 }
    case .gaugeMax(let slot): return [1, 3].map { CellLayout.gauge(slot) + $0 }
    case .field(let field), .increase(let field): return [CellLayout.field(field)] + known
    case .coverage: return [RolledField.expectedGPUs, .coveredGPUs].map { CellLayout.field($0) }
    case .power(.facility): return [CellLayout.words]
    case .power:
      return [RolledField.measuredPower, .scaledPower, .missingPower].map { CellLayout.field($0) } + known
    case .gaugeTotalMin, .gaugeTotalMax, .quantile, .powerMin, .powerMax: return []
    }
  }

  /// The exposed number of a tick's row; `nil` when there is none.
  public func value(tickRow row: [Int64]) -> Double? {
    guard row.count == TierRow.tickWidth,
      let cells = CellTable(count: 1, words: Array(row[0..<CellTable.wordsPerCell]))
    else { return nil }
    let facility = row[CellTable.wordsPerCell]
    return value(cells, 0, facility: facility == .min ? nil : facility)
  }

  /// Where the row of a window has power with cooling and losses: sum over ticks, and those ticks.
  public static let facilityWords: (sum: Int, ticks: Int) = {
    let base = 1 + WindowTable.powerBase + 4 * WindowTable.Power.facility.rawValue
    return (base, base + 1)
  }()

  /// Places in the row of a window that the number is made of.
  public var windowWords: [Int] {
    func gauge(_ slot: Int, _ words: [Int]) -> [Int] { words.map { 1 + slot * WindowTable.gaugeWords + $0 } }
    func field(_ field: RolledField) -> Int { 1 + WindowTable.fieldBase + 3 * field.rawValue }
    func power(_ power: WindowTable.Power, _ words: [Int]) -> [Int] {
      words.map { 1 + WindowTable.powerBase + 4 * power.rawValue + $0 }
    }
    switch source {
    case .gaugeSum(let slot): return gauge(slot, [0, 4])
    case .gaugeAverage(let slot): return gauge(slot, [0, 1])
    case .gaugeMin(let slot): return gauge(slot, [1, 2])
    case .gaugeMax(let slot): return gauge(slot, [1, 3])
    case .gaugeTotalMin(let slot): return gauge(slot, [4, 5])
    case .gaugeTotalMax(let slot): return gauge(slot, [4, 6])
    case .quantile: return []
    case .field(let wanted), .increase(let wanted): return [0, field(wanted)]
    case .coverage: return [0, field(.expectedGPUs), field(.coveredGPUs)]
    case .power(let wanted): return power(wanted, [0, 1])
    case .powerMin(let wanted): return power(wanted, [1, 2])
    case .powerMax(let wanted): return power(wanted, [1, 3])
    }
  }

  /// The exposed number of a window's row; `nil` when there is none. `sketch` answers quantiles.
  public func value(windowRow row: [Int64], _ length: WindowLength, sketch: (Int) -> QuantileSketch?) -> Double? {
    if case .quantile(let slot, let permille) = source {
      return sketch(slot)?.quantile(Double(permille) / 1000).map(exposed)
    }
    guard let window = TierRow.window(row, nil, length, end: Tick(unixMilliseconds: 0)) else { return nil }
    return value(window, 0)
  }
}
