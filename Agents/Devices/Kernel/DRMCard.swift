/// A graphics card as the kernel lists it below `class/drm`, whoever made it.
struct DRMCard: Hashable, Sendable {
  /// Where its PCI device's files are.
  let folder: String
  /// Its sensors' files, `nil` where the driver has none.
  let hwmon: String?
  /// PCI address such as `0000:c1:00.0`; the card's name where it is not told.
  let address: String

  /// All cards of the PCI vendor `vendor` (such as `0x1002`) below `sysfsRoot`, in the order of their numbers. Cards
  /// whose vendor cannot be read are passed over.
  static func find(vendor: String, sysfsRoot: String) -> [DRMCard] {
    let folder = "\(sysfsRoot)/class/drm"
    // `card0-DP-1` is a connector of card 0.
    let numbers = Sysfs.names(in: folder).compactMap { name in
      name.hasPrefix("card") ? Int(name.dropFirst(4)) : nil
    }
    return numbers.sorted().compactMap { number in
      let device = "\(folder)/card\(number)/device"
      guard Sysfs.line("\(device)/vendor") == vendor else { return nil }
      let sensors = Sysfs.names(in: "\(device)/hwmon").first { $0.hasPrefix("hwmon") }
      return DRMCard(
        folder: device, hwmon: sensors.map { "\(device)/hwmon/\($0)" },
        address: Self.address(device) ?? "card\(number)")
    }
  }

  private static func address(_ device: String) -> String? {
    Sysfs.lines("\(device)/uevent").first { $0.hasPrefix("PCI_SLOT_NAME=") }.map { String($0.dropFirst(14)) }
  }

  /// The sensor of `kind` (`temp`, `freq`, …) that calls itself `label`: the beginning of its files' names.
  func sensor(_ kind: String, labelled label: String) -> String? {
    guard let hwmon else { return nil }
    return Sysfs.names(in: hwmon).first { name in
      name.hasPrefix(kind) && name.hasSuffix("_label") && Sysfs.line("\(hwmon)/\(name)") == label
    }.map { "\(hwmon)/\($0.dropLast(6))" }
  }
}
