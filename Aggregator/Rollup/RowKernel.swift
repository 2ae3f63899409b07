import BongsuModel

/// Adds one row to one cell. The innermost loops of ingest: no allocation, no lookup, no branch that data decides more
/// often than once per column.
enum RowKernel {
  /// What a row says about its node's power and activity.
  struct Activity {
    var reportingGPUs: Int64 = 0
    var busyGPUs: Int64 = 0
    var gpusWithPower: Int64 = 0
    var gpuMilliwatts: Int64 = 0
    var cappedGPUs: Int64 = 0
    var brakedGPUs: Int64 = 0
    var hotGPUs: Int64 = 0
    /// Reading of the node's own meter, `Int64.min` when absent.
    var nodeMilliwatts: Int64 = .min
    /// Sum over boards, each once; `Int64.min` when none reported.
    var moduleMilliwatts: Int64 = .min
  }

  static let absent = SampleValue.absent.bits

  /// Adds all gauges of `row` to the cell that begins at `base`, and to the quantile counters that begin at `counterBase`
  /// unless that is below zero.
  @inline(__always)
  static func addGauges(
    _ row: borrowing Span<Int64>, _ columns: borrowing Span<RowProgram.Column>, to words: inout MutableSpan<Int64>,
    at base: Int, counters: inout MutableSpan<UInt32>, at counterBase: Int
  ) {
    for index in columns.indices {
      let column = columns[index]
      let first = Int(column.offset)
      let end = first &+ Int(column.count)
      var sum: Int64 = 0
      var count = Int64(column.count)
      var minimum = Int64.max
      var maximum = Int64.min
      for position in first..<end {
        let reading = row[position]
        sum &+= reading
        minimum = min(minimum, reading)
        maximum = max(maximum, reading)
      }
      // Absence is the smallest integer, so a minimum above it says that every reading is present.
      if counterBase >= 0 && column.sketch.first >= 0 {
        SketchTable.add(row, column, minimum: minimum, to: &counters, at: counterBase)
      }
      if minimum == absent { (sum, count, minimum, maximum) = presentTotals(row, first..<end) }
      let word = base &+ Int(column.word)
      words[word] &+= sum
      words[word &+ 1] &+= count
      words[word &+ 2] = min(words[word &+ 2], minimum)
      words[word &+ 3] = max(words[word &+ 3], maximum)
    }
  }

  @inline(never)
  private static func presentTotals(
    _ row: borrowing Span<Int64>, _ range: Range<Int>
  ) -> (sum: Int64, count: Int64, minimum: Int64, maximum: Int64) {
    var totals = (sum: Int64(0), count: Int64(0), minimum: Int64.max, maximum: Int64.min)
    for position in range where row[position] != absent {
      totals.sum &+= row[position]
      totals.count &+= 1
      totals.minimum = min(totals.minimum, row[position])
      totals.maximum = max(totals.maximum, row[position])
    }
    return totals
  }

  /// Reads power and activity of all GPUs of a row.
  @inline(__always)
  static func activity(
    _ row: borrowing Span<Int64>, _ offsets: RowProgram.Offsets, busyMilliwatts: Int64
  ) -> Activity {
    var activity = Activity()
    let power = offsets.power
    let utilization = offsets.utilization
    for gpu in 0..<offsets.gpus {
      let milliwatts = power >= 0 ? row[power &+ gpu] : absent
      let permille = utilization >= 0 ? row[utilization &+ gpu] : absent
      let hasPower = milliwatts != absent
      let hasUtilization = permille != absent
      let isBusy = hasUtilization ? permille >= Limits.busyUtilizationPermille : milliwatts >= busyMilliwatts
      activity.gpuMilliwatts &+= hasPower ? milliwatts : 0
      activity.gpusWithPower &+= hasPower ? 1 : 0
      activity.reportingGPUs &+= hasPower || hasUtilization ? 1 : 0
      activity.busyGPUs &+= isBusy ? 1 : 0
    }
    if offsets.reasons >= 0 {
      for gpu in 0..<offsets.gpus {
        let reasons = row[offsets.reasons &+ gpu]
        let present: Int64 = reasons == absent ? 0 : reasons
        activity.cappedGPUs &+= present &>> 2 & 1
        activity.brakedGPUs &+= present &>> 7 & 1
        activity.hotGPUs &+= present & 0x60 != 0 ? 1 : 0
      }
    }
    if offsets.nodePower >= 0 { activity.nodeMilliwatts = row[offsets.nodePower] }
    if offsets.modulePower >= 0 {
      let range = offsets.modulePower..<offsets.modulePower &+ offsets.modules
      for position in range where row[position] != absent {
        activity.moduleMilliwatts =
          (activity.moduleMilliwatts == absent ? 0 : activity.moduleMilliwatts) &+ row[position]
      }
    }
    return activity
  }

  /// Adds activity, power and energy of one row to the fields of the cell that begins at `base`.
  @inline(__always)
  static func addFields(
    _ activity: Activity, _ power: NodePower, _ millijoules: Int64, _ member: borrowing RollupMember,
    to words: inout MutableSpan<Int64>, at base: Int
  ) {
    func add(_ field: RolledField, _ value: Int64) { words[base &+ CellLayout.field(field)] &+= value }
    // What the fleet file expects is added for all nodes at once; it knows nothing of the others.
    if member.node == nil { add(.expectedGPUs, member.expectedGPUs) }
    add(.reportingGPUs, activity.reportingGPUs)
    add(.busyGPUs, activity.busyGPUs)
    add(.coveredGPUs, min(activity.reportingGPUs, member.expectedGPUs))
    add(.estimatedGPUs, power.estimatedGPUs)
    add(.reportingNodes, 1)
    add(.measuredPower, power.measured)
    add(.scaledPower, power.scaled)
    add(.missingPower, power.missing)
    add(.missingGPUPower, power.missingGPU)
    add(.gpuEnergy, millijoules)
    add(.powerCappedGPUs, activity.cappedGPUs)
    add(.powerBrakedGPUs, activity.brakedGPUs)
    add(.thermallyLimitedGPUs, activity.hotGPUs)
  }
}
