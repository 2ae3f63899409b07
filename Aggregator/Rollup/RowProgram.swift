import BongsuFleet
import BongsuModel

/// How the rows of one layout are added to a cell: which words of the row go where, worked out once so that adding a row
/// looks nothing up. Nodes with the same columns and device counts share one program.
struct RowProgram: Hashable, Sendable {
  /// A run of the row that adds to one gauge of the cell.
  struct Column: Hashable, Sendable {
    var offset: Int32
    var count: Int32
    /// Place of the gauge's four words in the cell.
    var word: Int32
    /// Place of the gauge in ``RolledMetric/all``.
    var slot: Int32
    /// Where its quantile counters stand.
    var sketch: SketchTable.Place
  }

  /// Where power and activity of the row stand, -1 where the layout lacks them.
  struct Offsets: Hashable, Sendable, BitwiseCopyable {
    var gpus = 0
    var modules = 0
    var power = -1
    var utilization = -1
    var reasons = -1
    var energy = -1
    var modulePower = -1
    var nodePower = -1
  }

  var columns: [Column] = []
  /// Words in a row.
  var width: Int
  var offsets = Offsets()
  /// Counter and bitmask runs, which means of several rows must not average.
  var counterRanges: [Range<Int>] = []
  var bitmaskRanges: [Range<Int>] = []

  /// The program of a member whose layout is not known yet: it takes no row.
  init(gpus: Int) {
    width = 0
    offsets.gpus = gpus
  }

  init(_ layout: RowLayout) {
    func offset(_ metric: MetricID) -> Int { layout.column(of: metric).map { layout.offset(of: $0) } ?? -1 }
    width = layout.width
    offsets.gpus = layout.devices.count { $0.scope == .gpu }
    offsets.modules = layout.devices.count { $0.scope == .module }
    // The momentary reading stands in only where the driver offers no mean at all.
    let mean = offset(.gpuPower)
    offsets.power = mean >= 0 ? mean : offset(.gpuPowerInstant)
    offsets.utilization = offset(.gpuUtilization)
    offsets.reasons = offset(.gpuClockEventReasons)
    offsets.energy = offset(.gpuEnergy)
    offsets.modulePower = offset(.modulePower)
    offsets.nodePower = offset(.nodePower)
    for (index, metric) in layout.columns.enumerated() {
      let range = layout.range(of: index)
      switch metric.kind {
      case .counter: counterRanges.append(range)
      case .bitmask: bitmaskRanges.append(range)
      case .gauge:
        guard let slot = RolledMetric.slot(of: metric.id), !range.isEmpty else { continue }
        columns.append(
          Column(
            offset: Int32(range.lowerBound), count: Int32(range.count), word: Int32(CellLayout.gauge(slot)),
            slot: Int32(slot), sketch: SketchTable.layout.places[slot]))
      }
    }
  }
}

/// What power estimates and plausibility checks of one member start from; the same for all nodes of a model.
struct PowerTraits: Hashable, Sendable {
  /// Power of one GPU above which it is busy when it reports no utilization, mW.
  var busyMilliwatts: Int64
  /// Most that one GPU can draw, mW.
  var gpuMilliwattsMax: Int64
  /// Non-GPU share of node power, thousandths.
  var nonGPUSharePermille: Int64
  /// Power of one busy GPU with its share of the node, mW; 0 when the model is unknown.
  var typicalMilliwatts: Int64
  /// The same without the share of the node, mW.
  var typicalGPUMilliwatts: Int64

  init(_ model: GPUModel?) {
    guard let model else {
      self.init(
        busyMilliwatts: .max, gpuMilliwattsMax: Limits.unknownGPUMilliwattsMax, nonGPUSharePermille: 0,
        typicalMilliwatts: 0, typicalGPUMilliwatts: 0)
      return
    }
    self.init(
      busyMilliwatts: Int64(model.idleWatts) * Limits.busyPowerPermilleOfIdle,
      // Short peaks pass the limit; twice the limit for a whole interval is a broken counter.
      gpuMilliwattsMax: Int64(model.powerLimitWatts) * 2000, nonGPUSharePermille: Int64(model.nonGPUSharePermille),
      typicalMilliwatts: model.estimatedNodeMilliwatts(gpuMilliwatts: Int64(model.typicalWatts) * 1000),
      typicalGPUMilliwatts: Int64(model.typicalWatts) * 1000)
  }

  private init(
    busyMilliwatts: Int64, gpuMilliwattsMax: Int64, nonGPUSharePermille: Int64, typicalMilliwatts: Int64,
    typicalGPUMilliwatts: Int64
  ) {
    self.busyMilliwatts = busyMilliwatts
    self.gpuMilliwattsMax = gpuMilliwattsMax
    self.nonGPUSharePermille = nonGPUSharePermille
    self.typicalMilliwatts = typicalMilliwatts
    self.typicalGPUMilliwatts = typicalGPUMilliwatts
  }

  /// GPU power with the part of the node that nothing measures.
  func nodeMilliwatts(gpuMilliwatts: Int64) -> Int64 {
    gpuMilliwatts &* 1000 / (1000 - nonGPUSharePermille)
  }
}

/// The power assumed for a silent node.
public enum MissingEstimate {
  /// Milliwatts for a node that was last heard `ageMilliseconds` ago: its last value at first, then what its model
  /// typically draws (its last value where the model is unknown), nothing once the estimate has expired.
  public static func milliwatts(
    ageMilliseconds: Int64, lastMilliwatts: Int64, typicalMilliwatts: Int64
  ) -> Int64 {
    if ageMilliseconds > Limits.estimateExpiryMilliseconds { return 0 }
    if ageMilliseconds <= Limits.lastValueHoldMilliseconds || typicalMilliwatts == 0 { return lastMilliwatts }
    return typicalMilliwatts
  }

  /// Whether a node last heard `ageMilliseconds` ago is still estimated.
  public static func isCurrent(ageMilliseconds: Int64) -> Bool {
    ageMilliseconds <= Limits.estimateExpiryMilliseconds
  }
}
