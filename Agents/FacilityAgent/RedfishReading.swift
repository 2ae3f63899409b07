import BongsuModel

/// What Redfish resources say, as far as Bongsu reads it. Pure: resources in, readings out.
///
/// Numbers are Sensor excerpts (`{"Reading": 412.5}`) in the resources of today and plain numbers in the older Power
/// resource. On NVIDIA DGX systems `PowerLimitWatts` holds the present draw in `Reading` and the limit in `SetPoint`; a
/// resource that has `PowerWatts` as well is never read that way.
///
/// Sources: DMTF schemas EnvironmentMetrics, PowerSubsystem, PowerSupplyMetrics, Power; NVIDIA DGX B200 manual, chapter 7.
enum RedfishReading {
  typealias Resource = JSONValue

  /// Milliwatts that an EnvironmentMetrics resource gives as the present draw.
  static func milliwatts(environment: Resource) -> Int64? {
    if let watts = excerpt(environment["PowerWatts"]) { return wire(watts, 1000) }
    return excerpt(environment["PowerLimitWatts"]).flatMap { wire($0, 1000) }
  }

  /// Milliwatts of the limit in force.
  static func limitMilliwatts(environment: Resource) -> Int64? {
    let limit = environment["PowerLimitWatts"]
    if limit?["ControlMode"]?.string == "Disabled" { return nil }
    return limit?["SetPoint"]?.number.flatMap { $0 > 0 ? wire($0, 1000) : nil }
  }

  /// Millijoules of the energy counter.
  static func millijoules(environment: Resource) -> Int64? {
    if let joules = excerpt(environment["EnergyJoules"]) { return wire(joules, 1000) }
    return excerpt(environment["EnergykWh"]).flatMap { wire($0, 3_600_000_000) }
  }

  /// Tenths of a degree.
  static func decicelsius(environment: Resource) -> Int64? {
    excerpt(environment["TemperatureCelsius"]).flatMap { wire($0, 10) }
  }

  /// Milliwatts that one supply takes in, by its PowerSupplyMetrics.
  static func inputMilliwatts(supplyMetrics: Resource) -> Int64? {
    excerpt(supplyMetrics["InputPowerWatts"]).flatMap { wire($0, 1000) }
  }

  /// Milliwatts of the older Power resource: the draw of its first power control, which is the whole chassis; else what
  /// its supplies take in. A supply without a figure makes the sum unknown, unless it is stated to be absent.
  static func milliwatts(power: Resource) -> Int64? {
    if let watts = power["PowerControl"]?.elements.first?["PowerConsumedWatts"]?.number { return wire(watts, 1000) }
    let supplies = (power["PowerSupplies"]?.elements ?? []).filter { !isAbsent($0) }
    return sum(supplies.map { $0["PowerInputWatts"]?.number.flatMap { wire($0, 1000) } })
  }

  /// Whether a part is stated not to be there.
  static func isAbsent(_ part: Resource) -> Bool { part["Status"]?["State"]?.string == "Absent" }

  /// The sum, `nil` when there is nothing or one is missing: a sum that lost a part would be too small.
  static func sum(_ parts: [Int64?]) -> Int64? {
    guard !parts.isEmpty else { return nil }
    var sum: Int64 = 0
    for part in parts {
      guard let part else { return nil }
      sum += part
    }
    return sum
  }

  /// The address that a link property points to.
  static func link(_ value: JSONValue?) -> String? { value?["@odata.id"]?.string }

  /// The addresses of a collection's members.
  static func members(_ collection: Resource) -> [String] {
    (collection["Members"]?.elements ?? []).compactMap { link($0) }
  }

  /// Whether a chassis stands for itself: not contained in another, and no part such as a board or a card.
  static func isTop(chassis: Resource) -> Bool {
    if link(chassis["Links"]?["ContainedBy"]) != nil { return false }
    let parts: Set<String> = ["Component", "Module", "Card", "Cartridge", "Zone", "Drawer", "StorageEnclosure"]
    return !parts.contains(chassis["ChassisType"]?.string ?? "")
  }

  /// A Sensor excerpt's number, or a plain one.
  private static func excerpt(_ value: JSONValue?) -> Double? { value?["Reading"]?.number ?? value?.number }

  private static func wire(_ value: Double, _ factor: Double) -> Int64? {
    // No machine draws less than nothing; some controllers say so when they do not know.
    value >= 0 ? FacilityReading.wire(value, times: factor) : nil
  }
}
