/// What is known of a GPU product: the figures that estimates, simulations and plausibility checks start from.
///
/// Watts are those of NVML board power. Sources: captured `nvidia-smi` readings of idle nodes for limits and idle power;
/// vendors' system ratings for the share of a node that is not its GPUs: with all GPUs at their limit, a node draws its
/// system's rating (14.5 kW for eight B300, 132 kW for a rack of 72 GB300). Thresholds never come from here but from
/// enforced limits and budgets, since operators run below the default limit.
public struct GPUModel: Hashable, Sendable {
  /// Short key used in fleet files, for example `B200`.
  public let key: String
  /// GPUs in one node of this kind: 8 in a box, 4 in a rack-scale tray.
  public let gpusPerNode: Int
  /// Default power limit of one GPU, watts.
  public let powerLimitWatts: Int
  /// Measured or assumed power of one idle GPU, watts.
  public let idleWatts: Int
  /// Power of one busy GPU in training, watts: a planning figure below the limit.
  public let typicalWatts: Int
  /// Share of a node's (or rack's) power that is not its GPUs, thousandths.
  public let nonGPUSharePermille: Int
  /// GPU memory, mebibytes.
  public let memoryMebibytes: Int
  /// Maximum SM clock and memory clock, megahertz.
  public let smClockMegahertz: Int
  public let memoryClockMegahertz: Int

  /// Describes a model, known to this build or defined by a fleet file. `nonGPUSharePermille` is below 1000.
  public init(
    key: String, gpusPerNode: Int, powerLimitWatts: Int, idleWatts: Int, typicalWatts: Int, nonGPUSharePermille: Int,
    memoryMebibytes: Int, smClockMegahertz: Int, memoryClockMegahertz: Int
  ) {
    precondition((0..<1000).contains(nonGPUSharePermille), "non-GPU share is \(nonGPUSharePermille) ‰, limit 999")
    self.key = key
    self.gpusPerNode = gpusPerNode
    self.powerLimitWatts = powerLimitWatts
    self.idleWatts = idleWatts
    self.typicalWatts = typicalWatts
    self.nonGPUSharePermille = nonGPUSharePermille
    self.memoryMebibytes = memoryMebibytes
    self.smClockMegahertz = smClockMegahertz
    self.memoryClockMegahertz = memoryClockMegahertz
  }

  /// Every model that fleet files may name.
  public static let all: [GPUModel] = [
    GPUModel(
      key: "H100", gpusPerNode: 8, powerLimitWatts: 700, idleWatts: 69, typicalWatts: 630, nonGPUSharePermille: 450,
      memoryMebibytes: 81_559, smClockMegahertz: 1980, memoryClockMegahertz: 2619),
    GPUModel(
      key: "H200", gpusPerNode: 8, powerLimitWatts: 700, idleWatts: 80, typicalWatts: 630, nonGPUSharePermille: 450,
      memoryMebibytes: 143_771, smClockMegahertz: 1980, memoryClockMegahertz: 3201),
    GPUModel(
      key: "B200", gpusPerNode: 8, powerLimitWatts: 1000, idleWatts: 200, typicalWatts: 900, nonGPUSharePermille: 440,
      memoryMebibytes: 183_359, smClockMegahertz: 1965, memoryClockMegahertz: 3996),
    GPUModel(
      key: "B300", gpusPerNode: 8, powerLimitWatts: 1100, idleWatts: 205, typicalWatts: 990, nonGPUSharePermille: 390,
      memoryMebibytes: 275_040, smClockMegahertz: 1965, memoryClockMegahertz: 3996),
    GPUModel(
      key: "GB200", gpusPerNode: 4, powerLimitWatts: 1200, idleWatts: 166, typicalWatts: 1000,
      nonGPUSharePermille: 350, memoryMebibytes: 189_471, smClockMegahertz: 2062, memoryClockMegahertz: 3996),
    GPUModel(
      key: "GB300", gpusPerNode: 4, powerLimitWatts: 1400, idleWatts: 178, typicalWatts: 1200,
      nonGPUSharePermille: 235, memoryMebibytes: 284_208, smClockMegahertz: 2062, memoryClockMegahertz: 3996),
    GPUModel(
      key: "RTXPRO6000", gpusPerNode: 8, powerLimitWatts: 600, idleWatts: 40, typicalWatts: 500,
      nonGPUSharePermille: 450, memoryMebibytes: 97_887, smClockMegahertz: 2430, memoryClockMegahertz: 12_481),
    GPUModel(
      key: "A100", gpusPerNode: 8, powerLimitWatts: 400, idleWatts: 55, typicalWatts: 350, nonGPUSharePermille: 450,
      memoryMebibytes: 81_920, smClockMegahertz: 1410, memoryClockMegahertz: 1593),
  ]

  /// The model a fleet file calls `key`, `nil` when there is none. Case matters.
  public static func model(_ key: String) -> GPUModel? {
    all.first { $0.key == key }
  }

  /// The model a driver calls `name`, such as "NVIDIA H100 80GB HBM3"; the longest key that the name contains wins, so
  /// that a GB200 is not taken for a B200. `nil` when none fits.
  public static func model(driverName name: String) -> GPUModel? {
    let squeezed = String(name.filter { $0 != " " }).uppercased()
    return all.filter { Self.isKey($0.key.utf8, in: squeezed.utf8) }.max { $0.key.utf8.count < $1.key.utf8.count }
  }

  /// Whether `text` holds `key`. Written out, since the standard library's search for strings brings its regular
  /// expression engine into every program, two megabytes that an agent has no use for.
  private static func isKey(_ key: String.UTF8View, in text: String.UTF8View) -> Bool {
    text.indices.contains { text[$0...].starts(with: key) }
  }

  /// Node power estimated from its GPUs' power, for nodes without a meter: GPU power ÷ (1 − non-GPU share).
  public func estimatedNodeMilliwatts(gpuMilliwatts: Int64) -> Int64 {
    gpuMilliwatts &* 1000 / Int64(1000 - nonGPUSharePermille)
  }
}
