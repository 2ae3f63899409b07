/// Where a GPU of a rack-scale system stands: chassis, slot and tray.
///
/// Filled on systems such as GB200 NVL72, empty on single machines, which then give no value at all.
struct NVMLPlatform: Hashable, Sendable {
  /// Serial number of the chassis, which is the rack.
  let chassis: String
  /// Place of the machine in the chassis, switches counted.
  let slot: UInt8
  /// Place among the compute trays.
  let tray: UInt8

  /// Asks the library about the GPU of `handle`.
  ///
  /// - Returns: `nil` where the driver cannot tell or the GPU stands in no such chassis.
  init?(_ library: NVMLLibrary, _ handle: NVMLLibrary.Handle) {
    guard let function = unsafe library.platformInfo else { return nil }
    let found = unsafe withUnsafeTemporaryAllocation(byteCount: NVMLLayout.platformBytes, alignment: 8) {
      memory -> (chassis: String, slot: UInt8, tray: UInt8)? in
      guard let base = memory.baseAddress else { return nil }
      for version in [NVMLLayout.platformVersion, NVMLLayout.platformVersion1] {
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
        unsafe base.storeBytes(of: version, as: UInt32.self)
        let code = NVMLCode(rawValue: unsafe function(handle, base))
        if code == .versionMismatch { continue }
        guard code == .success else { return nil }
        var chassis: [UInt8] = []
        for offset in 0..<16 {
          let byte = unsafe (base + NVMLLayout.platformChassis + offset).load(as: UInt8.self)
          guard (0x21...0x7E).contains(byte) else { break }
          chassis.append(byte)
        }
        guard !chassis.isEmpty else { return nil }
        return unsafe (
          String(decoding: chassis, as: UTF8.self), (base + NVMLLayout.platformSlot).load(as: UInt8.self),
          (base + NVMLLayout.platformTray).load(as: UInt8.self)
        )
      }
      return nil
    }
    guard let found else { return nil }
    (chassis, slot, tray) = found
  }
}
