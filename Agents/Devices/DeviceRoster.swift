import BongsuModel

/// Which device stands in which row, over lookups that find some devices and miss others.
///
/// A device is known by its key. Once known it keeps its place and its index, found or not, so that readings of a lost
/// one are seen to be absent and those of its siblings do not move. It gives up its place only to another device that
/// the driver finds under its index while it is not found itself: a board that was exchanged.
struct DeviceRoster: Sendable {
  /// The devices in row order.
  private(set) var devices: [Device] = []

  /// Takes note of what a lookup has found, in the driver's order.
  ///
  /// - Returns: for each device of the roster its position in `found`, `nil` for one that was not found.
  mutating func update(found: [Device]) -> [Int?] {
    var positions: [String: Int] = [:]
    for (position, device) in found.enumerated() where positions[device.key] == nil {
      positions[device.key] = position
    }
    for device in found where !devices.contains(where: { $0.key == device.key }) {
      let vacant = devices.firstIndex { $0.index == device.index && positions[$0.key] == nil }
      if let vacant {
        devices[vacant] = device
      } else {
        var index = device.index
        while devices.contains(where: { $0.index == index }) { index += 1 }
        devices.append(Device(scope: device.scope, index: index, key: device.key, model: device.model))
      }
    }
    devices.sort { $0.index < $1.index }
    return devices.map { positions[$0.key] }
  }
}
