import BongsuModel

/// Every reading of one GPU that the library can give, in the order of the scratch row.
enum NVMLReading: Int, CaseIterable, Sendable {
  case power
  case powerMin
  case powerMax
  case powerLimit
  case energy
  case utilization
  case memoryUtilization
  case memoryUsed
  case temperature
  case memoryTemperature
  case smClock
  case memoryClock
  case eventReasons
  case pcieTransmit
  case pcieReceive
  case nvlinkTransmit
  case nvlinkReceive
  case eccUncorrected
  case xidEvents
  case xidLast
  case powerInstant
  case memoryTotal
  case temperatureMargin
  case modulePower

  var metric: MetricID {
    switch self {
    case .power: .gpuPower
    case .powerMin: .gpuPowerMin
    case .powerMax: .gpuPowerMax
    case .powerLimit: .gpuPowerLimit
    case .energy: .gpuEnergy
    case .utilization: .gpuUtilization
    case .memoryUtilization: .gpuMemoryUtilization
    case .memoryUsed: .gpuMemoryUsed
    case .temperature: .gpuTemperature
    case .memoryTemperature: .gpuMemoryTemperature
    case .smClock: .gpuSMClock
    case .memoryClock: .gpuMemoryClock
    case .eventReasons: .gpuClockEventReasons
    case .pcieTransmit: .gpuPCIeTransmit
    case .pcieReceive: .gpuPCIeReceive
    case .nvlinkTransmit: .gpuNVLinkTransmit
    case .nvlinkReceive: .gpuNVLinkReceive
    case .eccUncorrected: .gpuECCUncorrected
    case .xidEvents: .gpuXIDEvents
    case .xidLast: .gpuXIDLast
    case .powerInstant: .gpuPowerInstant
    case .memoryTotal: .gpuMemoryTotal
    case .temperatureMargin: .gpuTemperatureMargin
    case .modulePower: .modulePower
    }
  }
}

/// A set of small enumeration cases in one word.
struct NVMLSet<Element: RawRepresentable>: Hashable, Sendable where Element.RawValue == Int {
  private var bits: UInt32 = 0

  static var all: NVMLSet { NVMLSet(bits: .max) }

  init() {}

  private init(bits: UInt32) { self.bits = bits }

  func contains(_ element: Element) -> Bool { bits & (1 << UInt32(element.rawValue)) != 0 }

  mutating func insert(_ element: Element) { bits |= 1 << UInt32(element.rawValue) }

  mutating func remove(_ element: Element) { bits &= ~(1 << UInt32(element.rawValue)) }
}

/// The values that are fetched by number, in one call for each GPU: the library serves those that come from one request
/// to the driver together.
enum NVMLField: Int, CaseIterable, Sendable {
  case powerAverage
  case powerInstant
  case energy
  case memoryTemperature
  case eccUncorrected
  case nvlinkTransmit
  case nvlinkReceive
  case pcieTransmit
  case pcieReceive
  case modulePower
  case powerBrakeTime

  /// Number of the field.
  var id: UInt32 {
    switch self {
    case .powerAverage, .modulePower: 185
    case .powerInstant: 186
    case .energy: 83
    case .memoryTemperature: 82
    case .eccUncorrected: 4
    case .nvlinkTransmit: 138
    case .nvlinkReceive: 139
    case .pcieTransmit: 197
    case .pcieReceive: 198
    case .powerBrakeTime: 271
    }
  }

  /// What of the GPU it is about: 0 the GPU and 1 its board for power; all links for NVLink.
  var scope: UInt32 {
    switch self {
    case .modulePower: 1
    case .nvlinkTransmit, .nvlinkReceive: .max
    default: 0
    }
  }
}

/// The calls that a GPU may refuse for good, each by itself.
enum NVMLCall: Int, Sendable {
  case fields
  case powerUsage
  case totalEnergy
  case powerLimit
  case utilization
  case memory2
  case memory
  case temperatureV
  case temperature
  case margin
  case smClock
  case memoryClock
  case eventReasons
  case eccErrors
  case samples
}
