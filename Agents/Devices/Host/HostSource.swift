public import BongsuModel
import Glibc

/// Power and energy of the machine itself, as the kernel shows them.
///
///     powercap   class/powercap/intel-rapl:N   energy of processor packages and their memory (Intel and AMD)
///     hwmon      power_meter                   power of the whole machine (acpi_power_meter)
///     hwmon      "CPU Power Socket N"          power of Grace processors
///     IPMI       DCMI Get Power Reading        power of the whole machine, where no hwmon meter gives it
///
/// Energy counters wrap within minutes and start anywhere; they are extended and start at zero here. Processor power is
/// the counter's difference over the time between readings, unless a sensor gives it. Sums over packages are absent when
/// one of them is. The board power that Grace reports is left to the GPU driver, which reports it as well.
///
/// Since 5.10 the kernel lets only root read the processors' energy.
///
/// Sources: Documentation/power/powercap/powercap.rst, Documentation/hwmon/acpi_power_meter.rst.
public final class HostSource: DeviceSource {
  public let name = "host"
  /// A power meter behind ACPI or a slow bus may take its time.
  public let mayBlock = true
  public private(set) var condition = SourceCondition.unavailable("not looked at yet")

  private let root: String
  private let monotonicNanoseconds: () -> Int64
  private var packages = EnergyZones()
  private var memories = EnergyZones()
  private var processorSensors = PowerSensors()
  private var machineSensors = PowerSensors()
  private let openPort: () throws(SysfsError) -> any IPMIPort
  private var controller: DCMIMeter?
  private var inventory = SourceInventory.empty
  private var lastEnergy: (microjoules: Int64, nanoseconds: Int64)?

  /// Looks below `sysfsRoot`, which is `/sys` but in tests and containers.
  public convenience init(sysfsRoot: String = SourceSpecification.defaultSysfsRoot) {
    self.init(
      sysfsRoot: sysfsRoot, openPort: { () throws(SysfsError) in try KernelIPMIPort(path: "/dev/ipmi0") },
      monotonicNanoseconds: {
        var time = timespec()
        // SAFETY: the call writes one timespec.
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
      })
  }

  init(
    sysfsRoot: String,
    openPort: @escaping () throws(SysfsError) -> any IPMIPort = { () throws(SysfsError) in
      throw SysfsError(path: "/dev/ipmi0", errno: ENOENT)
    },
    monotonicNanoseconds: @escaping () -> Int64
  ) {
    root = sysfsRoot
    self.openPort = openPort
    self.monotonicNanoseconds = monotonicNanoseconds
  }

  public func release() {
    packages.replace([])
    memories.replace([])
    processorSensors.files = []
    machineSensors.files = []
    controller = nil
    lastEnergy = nil
    condition = .released
  }

  public func discover() -> SourceInventory {
    var refused: SysfsError?
    findEnergyZones(&refused)
    findPowerSensors(&refused)
    findController(&refused)
    var metrics = Set(inventory.columns.map(\.id))
    if !machineSensors.files.isEmpty || controller != nil { metrics.insert(.nodePower) }
    if !packages.files.isEmpty { metrics.insert(.nodeCPUEnergy) }
    if !memories.files.isEmpty { metrics.insert(.nodeDRAMEnergy) }
    if !packages.files.isEmpty || !processorSensors.files.isEmpty { metrics.insert(.nodeCPUPower) }
    inventory = SourceInventory(metrics: metrics.sorted(), devices: metrics.isEmpty ? [] : [.node])
    updateCondition(refused)
    return inventory
  }

  public func read(_ tick: Tick, into values: inout MutableSpan<Int64>) -> ReadOutcome {
    for index in values.indices { values[index] = SampleValue.absent.bits }
    guard condition != .released else { return .complete }
    let energy = packages.microjoules()
    let now = monotonicNanoseconds()
    let processorPower = processorSensors.milliwatts() ?? meanMilliwatts(energy, now)
    for (index, column) in inventory.columns.enumerated() {
      let reading: Int64? =
        switch column.id {
        case .nodePower: machineSensors.milliwatts() ?? controller?.milliwatts(at: now)
        case .nodeCPUEnergy: energy.map { $0 / 1000 }
        case .nodeDRAMEnergy: memories.microjoules().map { $0 / 1000 }
        case .nodeCPUPower: processorPower
        default: nil
        }
      if let reading { values[inventory.offset(of: index)] = SampleValue(reading).bits }
    }
    return .complete
  }

  /// Mean power since the reading before, `nil` when there was none.
  private func meanMilliwatts(_ energy: Int64?, _ now: Int64) -> Int64? {
    defer { lastEnergy = energy.map { ($0, now) } }
    guard let energy, let last = lastEnergy, now > last.nanoseconds else { return nil }
    // A microjoule in a nanosecond is a kilowatt.
    let milliwatts = Double(energy &- last.microjoules) * 1_000_000 / Double(now - last.nanoseconds)
    return Int64(exactly: milliwatts.rounded())
  }

  // MARK: Looking around

  private func findEnergyZones(_ refused: inout SysfsError?) {
    let folder = "\(root)/class/powercap"
    var packageFiles: [EnergyZones.File] = []
    var memoryFiles: [EnergyZones.File] = []
    for zone in Sysfs.names(in: folder) where zone.hasPrefix("intel-rapl:") {
      guard let kind = Sysfs.line("\(folder)/\(zone)/name") else { continue }
      // Zones nest: packages stand at the top, their memory and cores below.
      let isTop = zone.utf8.count { $0 == 0x3A } == 1
      guard (isTop && kind.hasPrefix("package")) || (!isTop && kind == "dram") else { continue }
      do throws(SysfsError) {
        let range = Sysfs.line("\(folder)/\(zone)/max_energy_range_uj").flatMap { Int64($0) }
        let file = EnergyZones.File(
          zone: zone, number: try SharedNumber(path: "\(folder)/\(zone)/energy_uj"), range: range)
        if isTop { packageFiles.append(file) } else { memoryFiles.append(file) }
      } catch {
        refused = error
      }
    }
    packages.replace(packageFiles)
    memories.replace(memoryFiles)
  }

  private func findPowerSensors(_ refused: inout SysfsError?) {
    let folder = "\(root)/class/hwmon"
    processorSensors.files = []
    machineSensors.files = []
    for sensor in Sysfs.names(in: folder) {
      let path = "\(folder)/\(sensor)"
      guard Sysfs.line("\(path)/name") == "power_meter" else { continue }
      let purpose = Sysfs.line("\(path)/device/power1_oem_info") ?? Sysfs.line("\(path)/power1_oem_info") ?? ""
      let isProcessor = purpose.hasPrefix("CPU Power Socket")
      // Other purposes are parts of the machine (module, I/O, limits); a meter without one is the machine's.
      guard isProcessor || purpose.isEmpty else { continue }
      do throws(SysfsError) {
        let number = try SharedNumber(path: "\(path)/power1_average")
        if isProcessor {
          processorSensors.files.append(number)
        } else if machineSensors.files.isEmpty {
          machineSensors.files.append(number)
        }
      } catch {
        refused = error
      }
    }
  }

  /// The management controller, where no sensor of the kernel gives the machine's power.
  private func findController(_ refused: inout SysfsError?) {
    guard machineSensors.files.isEmpty, controller == nil else { return }
    do throws(SysfsError) {
      let meter = DCMIMeter(try openPort())
      // Many controllers know no power; one that has not answered is asked again when the source is looked at next.
      if meter.firstMilliwatts(now: monotonicNanoseconds) != nil { controller = meter }
    } catch {
      if !error.isMissing { refused = refused ?? error }
    }
  }

  private func updateCondition(_ refused: SysfsError?) {
    var found: [String] = []
    var missing: [String] = []
    if !machineSensors.files.isEmpty {
      found.append("machine power")
    } else if controller != nil {
      found.append("machine power by IPMI")
    } else {
      missing.append("machine power")
    }
    if !packages.files.isEmpty {
      found.append("energy of \(packages.files.count) processor packages")
    } else if !processorSensors.files.isEmpty {
      found.append("power of \(processorSensors.files.count) processors")
    } else {
      missing.append("processor energy")
    }
    if !memories.files.isEmpty { found.append("energy of their memory") }
    let list = found.joined(separator: ", ")
    if let refused {
      let line = refused.isPermission ? "\(refused); \(Self.remedy(refused))" : "\(refused)"
      condition = found.isEmpty ? .unavailable(line) : .degraded("\(list); \(line)")
    } else if found.isEmpty {
      condition = .unavailable("the kernel shows neither \(missing.joined(separator: " nor "))")
    } else {
      condition = .available(list + (missing.isEmpty ? "" : "; no \(missing.joined(separator: ", "))"))
    }
  }

  /// What helps where the agent may not open a file.
  private static func remedy(_ refused: SysfsError) -> String {
    // Asking the controller is writing to it, and whoever may write may command all of it: not for a capability to read.
    refused.path.hasPrefix("/dev/")
      ? "asking the controller takes read and write access: run the agent as root, give its group the device by a udev "
        + "rule (whoever has it commands the whole controller), or read the power by Redfish with bongsu-facility-agent"
      : "let the agent's group read it, as the udev rule of the package does, or give the agent CAP_DAC_READ_SEARCH"
  }
}
