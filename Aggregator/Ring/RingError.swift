internal import CBongsuPlatform
internal import Glibc

/// Why a ring could not be made. Only rings with wake descriptors can fail.
public enum RingError: Error, Sendable, Hashable, CustomStringConvertible {
  /// `eventfd(2)` failed with this errno.
  case descriptorUnavailable(errno: Int32)

  public var description: String {
    switch self {
    case .descriptorUnavailable(let code):
      // SAFETY: strerror returns a valid C string for every code.
      let text = unsafe String(cString: strerror(code))
      return "cannot open a wake descriptor for a ring: \(text) (errno \(code)); "
        + "raise the descriptor limit (ulimit -n) or make fewer rings"
    }
  }
}

/// Opens the eventfds of a ring, all or none. -1 stands for "not asked for".
func openDescriptors(lanes: Int, _ wanted: WakeDescriptors) throws(RingError) -> (data: Int32, space: [Int32]) {
  var opened: [Int32] = []
  func open(_ isWanted: Bool) throws(RingError) -> Int32 {
    guard isWanted else { return -1 }
    let descriptor = bongsu_eventfd_open()
    guard descriptor >= 0 else {
      opened.forEach(closeDescriptor)
      throw .descriptorUnavailable(errno: -descriptor)
    }
    opened.append(descriptor)
    return descriptor
  }
  let data = try open(wanted.contains(.data))
  var space: [Int32] = []
  for _ in 0..<lanes { space.append(try open(wanted.contains(.space))) }
  return (data, space)
}

func closeDescriptor(_ descriptor: Int32) {
  if descriptor >= 0 { _ = close(descriptor) }
}
