/// Something on a node that yields readings: a GPU, a board, or the node itself.
public struct Device: Hashable, Sendable {
  /// What kind of thing it is; columns of the same scope apply to it.
  public let scope: DeviceScope
  /// Number within its scope on its node, for people. Not stable across reboots.
  public let index: UInt16
  /// Stable key: a GPU's UUID, a board's serial; empty for the node itself. At most ``Limits/deviceKeyBytesMax``.
  public let key: String
  /// Name of the product as its driver prints it; empty when unknown. At most ``Limits/deviceModelBytesMax``.
  public let model: String

  /// Describes a device.
  public init(scope: DeviceScope, index: UInt16, key: String, model: String) {
    self.scope = scope
    self.index = index
    self.key = key
    self.model = model
  }

  /// The node as a device of its own.
  public static let node = Device(scope: .node, index: 0, key: "", model: "")
}
