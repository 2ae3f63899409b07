import BongsuModel

/// A page of NVIDIA's dcgm-exporter, taken apart by node and GPU.
///
/// Old and new names of a field are the same field (DCGM 4.6 renamed them; the exporter prints what its list says). A GPU
/// may have several lines of a field: one for each of its MIG instances, or one for each pod that shares it, with the
/// board's figure repeated, and even slightly different within one page. So a field of the board counts once for each
/// UUID: the line that is about the whole GPU where there is one, else the largest of the instances' lines, which never
/// understates. Memory alone is each instance's own and is added up.
///
/// Sources: etc/default-counters.csv and render_metrics.go of NVIDIA/dcgm-exporter, dcgm_fields.h of NVIDIA/DCGM.
struct DCGMPage {
  /// Readings by the host name that the lines carry; the empty name for lines without one.
  private(set) var hosts: [String: FacilityReading] = [:]
  /// Lines of fields that are read.
  private(set) var lineCount = 0

  private struct Field {
    let metric: MetricID
    /// From the exporter's unit to the wire unit.
    let factor: Double
    /// Whether each MIG instance has a figure of its own.
    var isPerInstance = false
  }

  private static let prefix = "DCGM_FI_DEV_"
  /// By name without prefix. GPU_UTIL_RATIO is percent in spite of its name, as the alias it is [?].
  private static let fields: [String: Field] = {
    let table: [([String], Field)] = [
      (["POWER_USAGE", "BOARD_POWER_WATTS"], Field(metric: .gpuPower, factor: 1000)),
      (["POWER_USAGE_INSTANT", "BOARD_POWER_RAW_WATTS"], Field(metric: .gpuPowerInstant, factor: 1000)),
      (["ENFORCED_POWER_LIMIT", "BOARD_POWER_LIMIT_ENFORCED_WATTS"], Field(metric: .gpuPowerLimit, factor: 1000)),
      (["TOTAL_ENERGY_CONSUMPTION"], Field(metric: .gpuEnergy, factor: 1)),
      (["GPU_UTIL", "GPU_UTIL_RATIO"], Field(metric: .gpuUtilization, factor: 10)),
      (["MEM_COPY_UTIL", "MEM_COPY_UTIL_RATIO"], Field(metric: .gpuMemoryUtilization, factor: 10)),
      (["GPU_TEMP", "GPU_TEMP_CELSIUS"], Field(metric: .gpuTemperature, factor: 10)),
      (["MEMORY_TEMP", "MEMORY_TEMP_CELSIUS"], Field(metric: .gpuMemoryTemperature, factor: 10)),
      (["GPU_TEMP_LIMIT", "GPU_TEMP_MARGIN_CELSIUS"], Field(metric: .gpuTemperatureMargin, factor: 10)),
      (["SM_CLOCK"], Field(metric: .gpuSMClock, factor: 1)),
      (["MEM_CLOCK"], Field(metric: .gpuMemoryClock, factor: 1)),
      (["FB_USED"], Field(metric: .gpuMemoryUsed, factor: 1024, isPerInstance: true)),
      (["CLOCK_THROTTLE_REASONS", "CLOCKS_EVENT_REASONS"], Field(metric: .gpuClockEventReasons, factor: 1)),
      (["ECC_DBE_VOL_TOTAL"], Field(metric: .gpuECCUncorrected, factor: 1)),
      (["XID_ERRORS"], Field(metric: .gpuXIDLast, factor: 1)),
    ]
    var fields: [String: Field] = [:]
    for (names, field) in table { for name in names { fields[name] = field } }
    return fields
  }()
  /// Power of Grace processors, a line for each: the node's sum.
  private static let processorPower = ["CPU_POWER_UTIL_CURRENT", "CPU_POWER_WATTS"]

  /// What lines about one field of one GPU have said.
  private struct Board {
    var whole: Int64?
    var instances: [String: Int64] = [:]
  }

  private struct Place: Hashable {
    let host: String
    let uuid: String
    let metric: MetricID
  }

  init(_ page: ExpositionText) {
    var boards: [Place: Board] = [:]
    var cards: [String: (index: UInt16, model: String)] = [:]
    var processors: [String: [String: Int64]] = [:]
    for sample in page.samples where sample.name.hasPrefix(Self.prefix) {
      let name = String(sample.name.dropFirst(Self.prefix.count))
      let host = sample.labels["Hostname"] ?? sample.labels["hostname"] ?? ""
      if Self.processorPower.contains(name), let value = FacilityReading.wire(sample.value, times: 1000) {
        lineCount += 1
        processors[host, default: [:]][sample.labels["cpu"] ?? ""] = value
      }
      guard let field = Self.fields[name],
        let uuid = sample.labels["UUID"] ?? sample.labels["uuid"] ?? sample.labels["gpu_uuid"], !uuid.isEmpty,
        let value = FacilityReading.wire(sample.value, times: field.factor)
      else { continue }
      lineCount += 1
      let model = sample.labels["modelName"] ?? sample.labels["model_name"] ?? ""
      cards[uuid] = (sample.labels["gpu"].flatMap { UInt16($0) } ?? 0, model)
      let place = Place(host: host, uuid: uuid, metric: field.metric)
      var board = boards[place, default: Board()]
      if let instance = sample.labels["GPU_I_ID"], !instance.isEmpty {
        board.instances[instance] = max(board.instances[instance] ?? .min, value)
      } else {
        board.whole = max(board.whole ?? .min, value)
      }
      boards[place] = board
    }
    let shared = Set(Self.fields.values.filter(\.isPerInstance).map(\.metric))
    for (place, board) in boards {
      guard let card = cards[place.uuid], let value = Self.value(board, isShared: shared.contains(place.metric)) else {
        continue
      }
      hosts[place.host, default: FacilityReading()].set(
        place.metric, value, gpu: place.uuid, index: card.index, model: card.model)
    }
    for (host, powers) in processors {
      hosts[host, default: FacilityReading()].node[.nodeCPUPower] = powers.values.reduce(0, +)
    }
  }

  private static func value(_ board: Board, isShared: Bool) -> Int64? {
    if let whole = board.whole { return whole }
    return isShared ? board.instances.values.reduce(0, +) : board.instances.values.max()
  }
}
