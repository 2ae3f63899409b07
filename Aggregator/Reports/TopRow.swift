/// One row of `top`: a place, an allocation or a device, with its state at the closed tick of its report.
///
/// Power and energy are exact integers (milliwatts, millijoules) as they were added up; the JSON form carries the same
/// numbers in watts and joules beside them for readers that want the base unit.
public struct TopRow: Hashable, Sendable {
  /// Unique among the rows of its level: `naver-sejong`, `naver-sejong/hall-1`, `msit/naver-hosted`, `r001-n01/GPU-…`.
  public var id: String
  /// What people call it: the fleet file's name, or the last part of the identifier.
  public var name: String
  /// Where it stands, as far as its level says so.
  public var factory: String?
  public var hall: String?
  public var rack: String?
  public var node: String?
  /// Path of the allocation it belongs to, for nodes, GPUs and allocations.
  public var allocation: String?
  /// Product name of a GPU, or of a node's GPUs when they are alike.
  public var model: String?
  /// Distance from the root of its tree: 0 everywhere but in the allocation tree.
  public var depth: Int
  /// Identifier of the row above it in the tree; `nil` at the root.
  public var parent: String?

  /// Sum of the measured power of the GPUs that reported, milliwatts; never extrapolated.
  public var measuredMilliwatts: Int64
  /// Power estimated for expected GPUs that did not report, milliwatts.
  public var estimatedMilliwatts: Int64
  /// Sum of the utilization of the GPUs that reported it, thousandths, and how many those were.
  public var utilizationPermilleSum: Int64
  public var utilizationSamples: Int
  /// Energy since the start that the report names, millijoules; `nil` when no device under the row counts energy.
  public var energyMillijoules: Int64?
  /// GPUs in service that belong under the row, those of them that reported in the tick, and those that were busy.
  public var gpusExpected: Int
  public var gpusReporting: Int
  public var gpusBusy: Int
  /// GPUs granted to an allocation by the fleet file; `nil` at other levels.
  public var gpusGranted: Int?

  /// Describes a row with nothing measured yet; the caller sets what it knows.
  public init(id: String, name: String, depth: Int = 0, parent: String? = nil) {
    self.id = id
    self.name = name
    self.depth = depth
    self.parent = parent
    self.measuredMilliwatts = 0
    self.estimatedMilliwatts = 0
    self.utilizationPermilleSum = 0
    self.utilizationSamples = 0
    self.gpusExpected = 0
    self.gpusReporting = 0
    self.gpusBusy = 0
  }

  /// Measured plus estimated power, milliwatts: what power rules look at.
  public var totalMilliwatts: Int64 { measuredMilliwatts &+ estimatedMilliwatts }

  /// GPUs that report and are not busy.
  public var gpusIdle: Int { max(0, gpusReporting - gpusBusy) }

  /// Mean utilization of the GPUs that reported it, 0 to 1; `nil` when none did.
  public var utilizationRatio: Double? {
    utilizationSamples > 0 ? Double(utilizationPermilleSum) / (1000 * Double(utilizationSamples)) : nil
  }

  /// Reporting over expected GPUs; `nil` when none are expected, as for nodes that no fleet file names.
  public var coverageRatio: Double? {
    gpusExpected > 0 ? Double(gpusReporting) / Double(gpusExpected) : nil
  }
}

extension TopRow: Codable {
  private enum CodingKeys: String, CodingKey {
    case id, name, factory, hall, rack, node, allocation, model, depth, parent
    case measuredMilliwatts = "power_milliwatts"
    case measuredWatts = "power_watts"
    case estimatedMilliwatts = "power_estimated_milliwatts"
    case estimatedWatts = "power_estimated_watts"
    case totalMilliwatts = "power_total_milliwatts"
    case totalWatts = "power_total_watts"
    case utilizationPermilleSum = "utilization_permille_sum"
    case utilizationSamples = "utilization_samples"
    case utilizationRatio = "utilization_ratio"
    case energyMillijoules = "energy_millijoules"
    case energyJoules = "energy_joules"
    case gpusExpected = "gpus_expected"
    case gpusReporting = "gpus_reporting"
    case gpusBusy = "gpus_busy"
    case gpusGranted = "gpus_granted"
    case coverageRatio = "coverage_ratio"
  }

  /// Reads a row; the derived fields (watts, joules, ratios) are ignored, since the exact ones determine them.
  public init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      id: try fields.decode(String.self, forKey: .id), name: try fields.decode(String.self, forKey: .name),
      depth: try fields.decode(Int.self, forKey: .depth),
      parent: try fields.decodeIfPresent(String.self, forKey: .parent))
    factory = try fields.decodeIfPresent(String.self, forKey: .factory)
    hall = try fields.decodeIfPresent(String.self, forKey: .hall)
    rack = try fields.decodeIfPresent(String.self, forKey: .rack)
    node = try fields.decodeIfPresent(String.self, forKey: .node)
    allocation = try fields.decodeIfPresent(String.self, forKey: .allocation)
    model = try fields.decodeIfPresent(String.self, forKey: .model)
    measuredMilliwatts = try fields.decode(Int64.self, forKey: .measuredMilliwatts)
    estimatedMilliwatts = try fields.decode(Int64.self, forKey: .estimatedMilliwatts)
    utilizationPermilleSum = try fields.decode(Int64.self, forKey: .utilizationPermilleSum)
    utilizationSamples = try fields.decode(Int.self, forKey: .utilizationSamples)
    energyMillijoules = try fields.decodeIfPresent(Int64.self, forKey: .energyMillijoules)
    gpusExpected = try fields.decode(Int.self, forKey: .gpusExpected)
    gpusReporting = try fields.decode(Int.self, forKey: .gpusReporting)
    gpusBusy = try fields.decode(Int.self, forKey: .gpusBusy)
    gpusGranted = try fields.decodeIfPresent(Int.self, forKey: .gpusGranted)
  }

  /// Writes every field, `null` where a figure is unknown: an absent figure is never a zero.
  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(id, forKey: .id)
    try fields.encode(name, forKey: .name)
    try fields.encodeIfPresent(factory, forKey: .factory)
    try fields.encodeIfPresent(hall, forKey: .hall)
    try fields.encodeIfPresent(rack, forKey: .rack)
    try fields.encodeIfPresent(node, forKey: .node)
    try fields.encodeIfPresent(allocation, forKey: .allocation)
    try fields.encodeIfPresent(model, forKey: .model)
    try fields.encode(depth, forKey: .depth)
    try fields.encode(parent, forKey: .parent)
    try fields.encode(measuredMilliwatts, forKey: .measuredMilliwatts)
    try fields.encode(Double(measuredMilliwatts) / 1000, forKey: .measuredWatts)
    try fields.encode(estimatedMilliwatts, forKey: .estimatedMilliwatts)
    try fields.encode(Double(estimatedMilliwatts) / 1000, forKey: .estimatedWatts)
    try fields.encode(totalMilliwatts, forKey: .totalMilliwatts)
    try fields.encode(Double(totalMilliwatts) / 1000, forKey: .totalWatts)
    try fields.encode(utilizationPermilleSum, forKey: .utilizationPermilleSum)
    try fields.encode(utilizationSamples, forKey: .utilizationSamples)
    try fields.encode(utilizationRatio, forKey: .utilizationRatio)
    try fields.encode(energyMillijoules, forKey: .energyMillijoules)
    try fields.encode(energyMillijoules.map { Double($0) / 1000 }, forKey: .energyJoules)
    try fields.encode(gpusExpected, forKey: .gpusExpected)
    try fields.encode(gpusReporting, forKey: .gpusReporting)
    try fields.encode(gpusBusy, forKey: .gpusBusy)
    try fields.encodeIfPresent(gpusGranted, forKey: .gpusGranted)
    try fields.encode(coverageRatio, forKey: .coverageRatio)
  }
}
