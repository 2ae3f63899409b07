/// Every metric this build knows, in one table.
///
/// An agent announces the columns it sends, so an aggregator stores metrics that are not listed here as well; the table
/// gives names and meaning to those that both sides know. Add rows at the end of a scope; never renumber.
public enum MetricCatalogue {
  /// All metrics, ascending by number.
  public static let all: [Metric] = gpu + module + node

  /// The metric with number `id`, `nil` when this build does not know it. Takes constant time.
  public static func metric(_ id: MetricID) -> Metric? {
    byID[id]
  }

  /// The metric exposed as `name`, `nil` when there is none. Takes constant time.
  public static func metric(named name: String) -> Metric? {
    byName[name]
  }

  private static let byID = Dictionary(uniqueKeysWithValues: all.map { ($0.id, $0) })
  private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

  private static func row(
    _ id: MetricID, _ name: String, _ unit: WireUnit, _ kind: MetricKind, _ scope: DeviceScope, _ help: String
  ) -> Metric {
    Metric(id: id, name: name, unit: unit, kind: kind, scope: scope, help: help)
  }

  private static let gpu: [Metric] = [
    row(.gpuPower, "bongsu_gpu_power_watts", .milliwatt, .gauge, .gpu, "Mean GPU board power over the tick."),
    row(
      .gpuPowerMin, "bongsu_gpu_power_min_watts", .milliwatt, .gauge, .gpu,
      "Lowest sample of the driver's own power ring in the tick."),
    row(
      .gpuPowerMax, "bongsu_gpu_power_max_watts", .milliwatt, .gauge, .gpu,
      "Highest sample of the driver's own power ring in the tick."),
    row(
      .gpuPowerLimit, "bongsu_gpu_power_limit_watts", .milliwatt, .gauge, .gpu,
      "Power limit in force from all limiters."),
    row(
      .gpuEnergy, "bongsu_gpu_energy_joules_total", .millijoule, .counter, .gpu,
      "Energy drawn by the GPU board since the driver was loaded."),
    row(
      .gpuUtilization, "bongsu_gpu_utilization_ratio", .permille, .gauge, .gpu,
      "Share of time in which at least one kernel ran."),
    row(
      .gpuMemoryUtilization, "bongsu_gpu_memory_utilization_ratio", .permille, .gauge, .gpu,
      "Share of time in which GPU memory was read or written."),
    row(.gpuMemoryUsed, "bongsu_gpu_memory_used_bytes", .kibibyte, .gauge, .gpu, "GPU memory in use."),
    row(.gpuTemperature, "bongsu_gpu_temperature_celsius", .decicelsius, .gauge, .gpu, "GPU die temperature."),
    row(
      .gpuMemoryTemperature, "bongsu_gpu_memory_temperature_celsius", .decicelsius, .gauge, .gpu,
      "GPU memory temperature."),
    row(.gpuSMClock, "bongsu_gpu_sm_clock_hertz", .megahertz, .gauge, .gpu, "Clock of the streaming multiprocessors."),
    row(.gpuMemoryClock, "bongsu_gpu_memory_clock_hertz", .megahertz, .gauge, .gpu, "Clock of the GPU memory."),
    row(
      .gpuClockEventReasons, "bongsu_gpu_clock_event_reasons", .bits, .bitmask, .gpu,
      "Why clocks are held down, as NVML's clock event reason bits; 0 when nothing limits them. The bit of the power brake "
        + "(128) also stands for a brake between two samples."),
    row(
      .gpuPCIeTransmit, "bongsu_gpu_pcie_transmit_bytes_total", .kibibyte, .counter, .gpu,
      "Bytes sent by the GPU over PCIe."),
    row(
      .gpuPCIeReceive, "bongsu_gpu_pcie_receive_bytes_total", .kibibyte, .counter, .gpu,
      "Bytes received by the GPU over PCIe."),
    row(
      .gpuNVLinkTransmit, "bongsu_gpu_nvlink_transmit_bytes_total", .kibibyte, .counter, .gpu,
      "Data bytes sent by the GPU over all NVLinks."),
    row(
      .gpuNVLinkReceive, "bongsu_gpu_nvlink_receive_bytes_total", .kibibyte, .counter, .gpu,
      "Data bytes received by the GPU over all NVLinks."),
    row(
      .gpuECCUncorrected, "bongsu_gpu_ecc_uncorrected_total", .count, .counter, .gpu,
      "Uncorrected memory errors since the driver was loaded."),
    row(
      .gpuXIDEvents, "bongsu_gpu_xid_events_total", .count, .counter, .gpu,
      "XID errors the driver reported since the agent started."),
    row(
      .gpuPowerInstant, "bongsu_gpu_power_instant_watts", .milliwatt, .gauge, .gpu,
      "GPU board power at the moment of the reading, without averaging."),
    row(.gpuMemoryTotal, "bongsu_gpu_memory_total_bytes", .kibibyte, .gauge, .gpu, "GPU memory installed."),
    row(
      .gpuTemperatureMargin, "bongsu_gpu_temperature_margin_celsius", .decicelsius, .gauge, .gpu,
      "Degrees left before the nearest slowdown temperature."),
    row(
      .gpuXIDLast, "bongsu_gpu_xid_last", .count, .bitmask, .gpu,
      "Number of the newest XID error the driver reported since the agent started; 0 before the first."),
  ]

  private static let module: [Metric] = [
    row(
      .modulePower, "bongsu_module_power_watts", .milliwatt, .gauge, .module,
      "Mean power of a board with its GPUs and CPU, counted once per board.")
  ]

  private static let node: [Metric] = [
    row(.nodePower, "bongsu_node_power_watts", .milliwatt, .gauge, .node, "Power drawn by the whole node."),
    row(
      .nodeCPUEnergy, "bongsu_node_cpu_energy_joules_total", .millijoule, .counter, .node,
      "Energy drawn by all processor packages."),
    row(
      .nodeDRAMEnergy, "bongsu_node_dram_energy_joules_total", .millijoule, .counter, .node,
      "Energy drawn by main memory."),
    row(
      .nodeCPUPower, "bongsu_node_cpu_power_watts", .milliwatt, .gauge, .node,
      "Power drawn by all processor packages."),
    row(
      .agentResidentMemory, "bongsu_agent_resident_memory_bytes", .kibibyte, .gauge, .node,
      "Resident memory of the agent."),
    row(
      .agentCPU, "bongsu_agent_cpu_seconds_total", .microsecond, .counter, .node,
      "Processor time the agent has used."),
    row(.agentSpool, "bongsu_agent_spool_bytes", .byte, .gauge, .node, "Bytes waiting in the agent's disk spool."),
    row(
      .agentTickDelay, "bongsu_agent_tick_delay_seconds", .microsecond, .gauge, .node,
      "How long after the tick its readings were complete."),
    row(
      .agentSourceTimeouts, "bongsu_agent_source_timeouts_total", .count, .counter, .node,
      "Ticks in which a device source did not answer in time."),
    row(
      .agentMissedTicks, "bongsu_agent_missed_ticks_total", .count, .counter, .node,
      "Ticks for which no row could be taken."),
  ]
}

extension MetricID {
  public static let gpuPower = MetricID(rawValue: 1)
  public static let gpuPowerMin = MetricID(rawValue: 2)
  public static let gpuPowerMax = MetricID(rawValue: 3)
  public static let gpuPowerLimit = MetricID(rawValue: 4)
  public static let gpuEnergy = MetricID(rawValue: 5)
  public static let gpuUtilization = MetricID(rawValue: 6)
  public static let gpuMemoryUtilization = MetricID(rawValue: 7)
  public static let gpuMemoryUsed = MetricID(rawValue: 8)
  public static let gpuTemperature = MetricID(rawValue: 9)
  public static let gpuMemoryTemperature = MetricID(rawValue: 10)
  public static let gpuSMClock = MetricID(rawValue: 11)
  public static let gpuMemoryClock = MetricID(rawValue: 12)
  public static let gpuClockEventReasons = MetricID(rawValue: 13)
  public static let gpuPCIeTransmit = MetricID(rawValue: 14)
  public static let gpuPCIeReceive = MetricID(rawValue: 15)
  public static let gpuNVLinkTransmit = MetricID(rawValue: 16)
  public static let gpuNVLinkReceive = MetricID(rawValue: 17)
  public static let gpuECCUncorrected = MetricID(rawValue: 18)
  public static let gpuXIDEvents = MetricID(rawValue: 19)
  public static let gpuPowerInstant = MetricID(rawValue: 20)
  public static let gpuMemoryTotal = MetricID(rawValue: 21)
  public static let gpuTemperatureMargin = MetricID(rawValue: 22)
  public static let gpuXIDLast = MetricID(rawValue: 23)
  public static let modulePower = MetricID(rawValue: 64)
  public static let nodePower = MetricID(rawValue: 96)
  public static let nodeCPUEnergy = MetricID(rawValue: 97)
  public static let nodeDRAMEnergy = MetricID(rawValue: 98)
  public static let nodeCPUPower = MetricID(rawValue: 99)
  public static let agentResidentMemory = MetricID(rawValue: 112)
  public static let agentCPU = MetricID(rawValue: 113)
  public static let agentSpool = MetricID(rawValue: 114)
  public static let agentTickDelay = MetricID(rawValue: 115)
  public static let agentSourceTimeouts = MetricID(rawValue: 116)
  public static let agentMissedTicks = MetricID(rawValue: 117)
}
