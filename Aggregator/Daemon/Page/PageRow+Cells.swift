import BongsuAPI
import BongsuFleet
import BongsuIngest
import BongsuModel
import BongsuRollup

extension PageRow {
  /// The row that `cells` make up together; they share no GPU.
  init(_ snapshot: RollupSnapshot, _ cells: [PageCell]) {
    self.init()
    let tick = snapshot.closed
    var utilization: (sum: Int64, count: Int64) = (0, 0)
    for cell in cells where cell.group < tick[cell.level].count {
      let table = tick[cell.level]
      let group = cell.group
      if let power = tick.pageMilliwatts(cell) { watts = (watts ?? 0) &+ power / 1000 }
      if table.isKnown(group) { itWatts = (itWatts ?? 0) &+ table.totalMilliwatts(group) / 1000 }
      estimatedWatts &+= tick.pageEstimatedMilliwatts(cell) / 1000
      if let gauge = table.gauge(.gpuUtilization, group) {
        utilization.sum &+= gauge.sum
        utilization.count &+= gauge.count
      }
      expected += table.field(.expectedGPUs, group)
      reporting += table.field(.reportingGPUs, group)
      busy += table.field(.busyGPUs, group)
      kilojoules &+= snapshot.energy.joules(cell.level, group) / 1000
      if let hottest = table.gauge(.gpuTemperature, group)?.max {
        hottestDecicelsius = max(hottestDecicelsius ?? hottest, hottest)
      }
    }
    if utilization.count > 0 { utilizationPermille = utilization.sum / utilization.count }
  }

  init(_ snapshot: RollupSnapshot, _ level: RollupLevel, _ group: Int) {
    self.init(snapshot, [PageCell(level, group)])
  }
}

extension CellTable {
  /// Whether anybody in the group reported or is estimated.
  func isKnown(_ group: Int) -> Bool { field(.reportingNodes, group) > 0 || field(.estimatedGPUs, group) > 0 }
}

extension ClosedTick {
  /// Power as rows show it, mW: with cooling and losses where that is formed, IT power elsewhere; `nil` when nothing is
  /// known of it.
  func pageMilliwatts(_ cell: PageCell) -> Int64? {
    switch cell.level {
    case .factory, .nation: return facilityMilliwatts(cell.level, cell.group)
    case .rack, .hall, .allocation, .factoryAllocation, .meter:
      let table = self[cell.level]
      guard cell.group < table.count else { return nil }
      return table.isKnown(cell.group) ? table.totalMilliwatts(cell.group) : nil
    }
  }

  /// The part of ``pageMilliwatts(_:)`` that no sensor read. What is neither read at a meter nor measured as IT power
  /// counts, cooling of measured IT power does not.
  fileprivate func pageEstimatedMilliwatts(_ cell: PageCell) -> Int64 {
    let factory: FactoryIndex?
    switch cell.level {
    case .nation: factory = nil
    case .factory: factory = FactoryIndex(cell.group)
    case .rack, .hall, .allocation, .factoryAllocation, .meter: return self[cell.level].estimatedMilliwatts(cell.group)
    }
    let tree = plan.tree
    var sum: Int64 = 0
    for (meter, power) in zip(tree.meters, meterPower) where factory ?? meter.factory == meter.factory {
      sum &+= power.estimatedMilliwatts
    }
    for (hall, entry) in tree.halls.enumerated() where entry.meter == nil {
      guard factory ?? entry.factory == entry.factory else { continue }
      sum &+= self[.hall].estimatedMilliwatts(hall) &* Int64(tree[entry.factory].puePermille) / 1000
    }
    return sum
  }
}

extension PageAnswers {
  /// How many numbers a course has, and how far apart they are.
  private static let courseSteps = 60
  private static let courseStepMilliseconds: Int64 = 5000

  /// Power of the last minutes of rows with these cells: what the last tick of each step says.
  func course(
    _ subject: [PageCell], factories: [[PageCell]] = [], allocations: [[PageCell]] = []
  ) -> PageCourse? {
    let recent = engine.recentTicks
    guard let newest = recent.extent?.upperBound else { return nil }
    let step = Self.courseStepMilliseconds
    let start = newest.unixMilliseconds - Int64(Self.courseSteps) * step
    var last = [ClosedTick?](repeating: nil, count: Self.courseSteps)
    for tick in recent.ticks(in: Tick(unixMilliseconds: start + 1)...newest) {
      last[Int((tick.tick.unixMilliseconds - start - 1) / step)] = tick
    }
    func numbers(_ cells: [PageCell]) -> [Int64?] {
      last.map { tick in
        let known = cells.compactMap { tick?.pageMilliwatts($0) }
        return known.isEmpty ? nil : known.reduce(0, &+) / 1000
      }
    }
    var course = PageCourse(endUnixMilliseconds: newest.unixMilliseconds, stepMilliseconds: step)
    course.subject = numbers(subject)
    course.factories = factories.map(numbers)
    course.allocations = allocations.map(numbers)
    return course
  }

  func row(_ meter: Int, _ snapshot: RollupSnapshot) -> PageMeterRow {
    var row = PageMeterRow()
    let tick = snapshot.closed
    row.isExpected = tree.meters[meter].halls.contains { tree.isInService($0, at: tick.tick) }
    row.isRead = tick.meterPower[meter].isRead
    row.watts = tick.facilityMilliwatts(.meter, meter).map { $0 / 1000 }
    if let outlook = outlook(meter) {
      row.forecastWatts = outlook.forecastMilliwatts / 1000
      row.averageWatts = outlook.averageMilliwatts / 1000
      row.intervalEndUnixSeconds = outlook.end.unixMilliseconds / 1000
      row.monthPeakWatts = outlook.monthPeakMilliwatts > 0 ? outlook.monthPeakMilliwatts / 1000 : nil
    }
    return row
  }
}
