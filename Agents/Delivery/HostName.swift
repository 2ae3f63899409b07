package import BongsuModel
internal import Glibc

/// Something that was configured and cannot be used, with where it stands; exit status 1.
package struct Invalid: Error, CustomStringConvertible {
  package let description: String

  package init(description: String) { self.description = description }
}

/// The release that the programs of the nodes were built as.
package enum Release {
  package static let version = "0.1.0"
}

/// The name of this machine.
package enum HostName {
  /// Reads a node's name; the host's when there is none.
  package static func node(_ text: String?) throws -> NodeID {
    let name = text ?? current()
    guard let node = NodeID(name) else {
      throw Invalid(
        description: "node is '\(name)', expected 1 to \(Limits.nodeIDBytesMax) letters, digits, '.', '_' or '-'; "
          + "give one with --node")
    }
    return node
  }

  private static func current() -> String {
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
      // SAFETY: the call writes at most 255 bytes, the last byte stays zero.
      unsafe buffer.initialize(repeating: 0)
      guard unsafe gethostname(buffer.baseAddress!, 255) == 0 else { return "" }
      return unsafe String(cString: buffer.baseAddress!)
    }
  }
}
