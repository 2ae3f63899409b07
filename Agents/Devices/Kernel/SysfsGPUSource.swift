public import BongsuModel
import Glibc

/// GPUs whose driver shows them in the kernel's device tree: AMD's and Intel's.
///
///                       AMD (amdgpu)                      Intel (i915, xe)
///     power             power1_average, else power1_input difference of the energy over time
///     instant power     power1_input                      –
///     energy            –                                 energy1_input, µJ
///     limit             power1_cap                        power1_max, 0 is none
///     utilization       gpu_busy_percent, mem_busy_percent –
///     memory            mem_info_vram_used, _total        –
///     temperatures      "edge" or "junction", "mem"       "pkg", "vram"
///     clocks            "sclk", "mclk", Hz                –
///
/// A file that is missing makes no column, one that cannot be read an absent value. A card of which nothing can be read
/// is lost: its files are opened anew when the source is asked to look again, and it keeps its place meanwhile.
///
/// Sources: Documentation/gpu/amdgpu/thermal.rst, Documentation/ABI/testing/sysfs-driver-intel-{i915,xe}-hwmon.
public final class SysfsGPUSource: DeviceSource {
  /// Whose cards.
  public enum Maker: String, Sendable, CaseIterable {
    case amd
    case intel

    var vendor: String { self == .amd ? "0x1002" : "0x8086" }
    var words: String { self == .amd ? "AMD" : "Intel" }
  }

  public var name: String { maker.rawValue }
  /// A reading waits for the driver, which waits for the card.
  public let mayBlock = true
  public let holdsGPUs = true
  public private(set) var condition = SourceCondition.unavailable("not looked at yet")

  private let maker: Maker
  private let root: String
  private let monotonicNanoseconds: () -> Int64
  private var roster = DeviceRoster()
  private var cards: [SysfsGPU] = []
  private var inventory = SourceInventory.empty
  private var refused: SysfsError?

  /// Looks below `sysfsRoot`, which is `/sys` but in tests and containers.
  public convenience init(_ maker: Maker, sysfsRoot: String = SourceSpecification.defaultSysfsRoot) {
    self.init(maker, sysfsRoot: sysfsRoot) {
      var time = timespec()
      // SAFETY: the call writes one timespec.
      unsafe clock_gettime(CLOCK_MONOTONIC, &time)
      return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
  }

  init(_ maker: Maker, sysfsRoot: String, monotonicNanoseconds: @escaping () -> Int64) {
    self.maker = maker
    root = sysfsRoot
    self.monotonicNanoseconds = monotonicNanoseconds
  }

  public func release() {
    for index in cards.indices { cards[index].close() }
    condition = .released
  }

  public func discover() -> SourceInventory {
    refused = nil
    let found = DRMCard.find(vendor: maker.vendor, sysfsRoot: root).map { card in
      let gpu = maker == .amd ? SysfsGPU(amd: card) : SysfsGPU(intel: card)
      if refused == nil { refused = gpu.refused }
      return gpu
    }.filter { !$0.readings.isEmpty }
    let before = Dictionary(uniqueKeysWithValues: zip(roster.devices.map(\.key), cards))
    let positions = roster.update(
      found: found.enumerated().map { index, gpu in
        Device(scope: .gpu, index: UInt16(index), key: gpu.key, model: gpu.model)
      })
    cards = zip(roster.devices, positions).map { device, position in
      var gpu = position.map { found[$0] } ?? SysfsGPU(missing: device.key)
      if let known = before[device.key] { gpu.takeCounts(of: known) }
      return gpu
    }
    // What was there stays, so that a card that is away for a while does not change the layout.
    var metrics = Set(inventory.columns.map(\.id))
    for card in cards { metrics.formUnion(card.metrics) }
    inventory = SourceInventory(metrics: metrics.sorted(), devices: roster.devices)
    updateCondition()
    return inventory
  }

  public func read(_ tick: Tick, into values: inout MutableSpan<Int64>) -> ReadOutcome {
    for index in values.indices { values[index] = SampleValue.absent.bits }
    guard condition != .released else { return .complete }
    let now = monotonicNanoseconds()
    var hasChanged = false
    for index in cards.indices {
      let wasLost = cards[index].isLost
      cards[index].read(at: now) { metric, value in
        if let offset = inventory.offset(of: metric) { values[offset + index] = SampleValue(value).bits }
      }
      if cards[index].isLost != wasLost { hasChanged = true }
    }
    if hasChanged { updateCondition() }
    return .complete
  }

  private func updateCondition() {
    guard !cards.isEmpty else {
      let remedy = refused?.isPermission == true ? "; let the agent read it" : ""
      condition = .unavailable(
        refused.map { "\($0)\(remedy)" } ?? "the kernel shows no \(maker.words) GPU with sensors")
      return
    }
    let models = Set(roster.devices.map(\.model)).sorted().joined(separator: ", ")
    let all = "\(cards.count) GPUs (\(models))"
    let lost = cards.indices.filter { cards[$0].isLost }
    if !lost.isEmpty {
      let who = lost.map { String(roster.devices[$0].index) }.joined(separator: ", ")
      condition = .degraded(
        "\(lost.count) of \(cards.count) GPUs do not answer: \(who); their readings are absent until they do")
    } else if let refused {
      condition = .degraded("\(all); \(refused)\(refused.isPermission ? "; let the agent read it" : "")")
    } else {
      condition = .available(all)
    }
  }
}
