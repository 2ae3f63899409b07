internal import Glibc

/// The local door of a running agent: a Unix socket that takes one line and gives a text back.
///
/// Who may connect is a matter of the file's mode, 0660: its owner and its group.
///
/// Thread rule: one thread. A client is given a second for its line, and as long to take the answer.
package final class ControlSocket {
  /// Longest request, bytes.
  private static let requestBytesMax = 256
  /// Longest path, bytes: what a Unix address holds.
  private static let pathBytesMax = 107

  /// The listening socket, for waiting.
  package let descriptor: Int32
  package let path: String

  /// Why a socket cannot be used.
  package struct Failure: Error, CustomStringConvertible {
    package let description: String

    init(_ operation: String, _ path: String, _ code: Int32) {
      // SAFETY: strerror returns a valid C string for every code.
      description = unsafe "cannot \(operation) \(path): \(String(cString: strerror(code)))"
    }

    package init(_ description: String) { self.description = description }
  }

  /// Opens the door at `path`. One that a dead process left is replaced; a living one's is not.
  package init(path: String) throws(Failure) {
    if let answering = try? Self.connected(to: path) {
      _ = close(answering)
      throw Failure("the control socket \(path) belongs to another running agent; give this one --control PATH or none")
    }
    _ = unsafe unlink(path)
    let socket = try Self.socket(path)
    let before = umask(0o117)
    let code = unsafe Self.withAddress(path) { unsafe bind(socket, $0, $1) }
    let reason = errno
    _ = umask(before)
    guard code == 0, listen(socket, 8) == 0 else {
      _ = close(socket)
      throw Failure("open", path, reason)
    }
    _ = fcntl(socket, F_SETFL, O_NONBLOCK)
    descriptor = socket
    self.path = path
  }

  deinit {
    _ = unsafe unlink(path)
    _ = close(descriptor)
  }

  /// Takes one connection and answers its line by `answer`. A client that says nothing is hung up on.
  package func serve(_ answer: (String) -> String) {
    let client = accept(descriptor, nil, nil)
    guard client >= 0 else { return }
    defer { _ = close(client) }
    _ = fcntl(client, F_SETFD, FD_CLOEXEC)
    Self.setPatience(client, seconds: 1)
    var request: [UInt8] = []
    var byte: UInt8 = 0
    // SAFETY: one byte of a local at a time; requests are short and rare.
    while request.count < Self.requestBytesMax, unsafe read(client, &byte, 1) == 1, byte != 0x0A {
      request.append(byte)
    }
    guard !request.isEmpty else { return }
    Self.write(Array(answer(String(decoding: request, as: UTF8.self)).utf8), to: client)
  }

  /// Asks the agent behind the socket at `path`; waits up to `seconds` for the answer.
  package static func ask(_ request: String, at path: String, seconds: Int) throws(Failure) -> String {
    let socket = try connected(to: path)
    defer { _ = close(socket) }
    setPatience(socket, seconds: seconds)
    write(Array((request + "\n").utf8), to: socket)
    var answer: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      // SAFETY: at most as many bytes are written as the array has.
      let count = unsafe read(socket, &chunk, chunk.count)
      if count < 0 { throw Failure("hear the agent at", path, errno) }
      if count == 0 { break }
      answer += chunk[..<count]
    }
    guard !answer.isEmpty else { throw Failure("the agent at \(path) hung up without an answer; try again") }
    return String(decoding: answer, as: UTF8.self)
  }

  private static func connected(to path: String) throws(Failure) -> Int32 {
    let descriptor = try socket(path)
    let code = unsafe withAddress(path) { unsafe connect(descriptor, $0, $1) }
    guard code == 0 else {
      let reason = errno
      _ = close(descriptor)
      throw Failure("reach the agent at", path, reason)
    }
    return descriptor
  }

  private static func socket(_ path: String) throws(Failure) -> Int32 {
    guard path.utf8.count <= pathBytesMax else {
      throw Failure("the path of the control socket has \(path.utf8.count) bytes, at most \(pathBytesMax): \(path)")
    }
    let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw Failure("make a socket for", path, errno) }
    return descriptor
  }

  private static func withAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    // SAFETY: the path was found to fit, with a zero behind it.
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { place in
      for (index, byte) in path.utf8.enumerated() { unsafe place[index] = byte }
    }
    return unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }

  private static func setPatience(_ socket: Int32, seconds: Int) {
    var time = timeval(tv_sec: seconds, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      // SAFETY: the option takes one timeval.
      _ = unsafe setsockopt(socket, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
    }
  }

  private static func write(_ bytes: [UInt8], to socket: Int32) {
    var done = 0
    while done < bytes.count {
      // SAFETY: the part that is not written yet lies in the array.
      let count = unsafe bytes.withUnsafeBytes {
        unsafe send(socket, $0.baseAddress! + done, $0.count - done, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return }
      done += count
    }
  }
}
