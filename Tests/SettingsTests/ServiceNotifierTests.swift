import BongsuProcess
import BongsuTestKit
import Foundation
import Testing

@Suite("the service manager")
struct ServiceNotifierTests {
  /// A datagram socket as a manager has it; empty when nothing has come.
  private final class Manager {
    let descriptor: Int32
    init(_ path: String) throws {
      descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      unsafe withUnsafeMutableBytes(of: &address.sun_path) { place in
        for (index, byte) in path.utf8.enumerated() { unsafe place[index] = byte }
        if path.hasPrefix("@") { unsafe place[0] = 0 }
      }
      let length = socklen_t(2 + path.utf8.count + (path.hasPrefix("@") ? 0 : 1))
      let code = unsafe withUnsafePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(descriptor, $0, length) }
      }
      try #require(code == 0)
    }
    deinit { close(descriptor) }

    func next() -> String {
      var bytes = [UInt8](repeating: 0, count: 1024)
      let count = unsafe recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
      return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : ""
    }
  }

  @Test("hears that the service is ready, alive, reading its settings, and ends", arguments: [false, true])
  func messages(isAbstract: Bool) throws {
    let folder = try TemporaryDirectory()
    let path = isAbstract ? "@bongsu-test-\(UUID().uuidString)" : "\(folder.path)/notify"
    let manager = try Manager(path)
    let notifier = ServiceNotifier(variables: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000000"])
    #expect(notifier.isHeard && notifier.aliveSecondsMax == 15)
    notifier.ready("at work")
    #expect(manager.next() == "READY=1\nSTATUS=at work\n")
    notifier.alive()
    #expect(manager.next() == "WATCHDOG=1\n")
    notifier.reloading()
    #expect(manager.next().hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
    notifier.stopping("ends")
    #expect(manager.next() == "STOPPING=1\nSTATUS=ends\n")
    #expect(manager.next().isEmpty)
  }

  @Test(
    "nobody listens: every call does nothing",
    arguments: [
      [:], ["NOTIFY_SOCKET": ""], ["NOTIFY_SOCKET": "relative"], ["NOTIFY_SOCKET": "/nonexistent/notify"],
      ["NOTIFY_SOCKET": "/" + String(repeating: "x", count: 200)],
    ])
  func nobody(variables: [String: String]) {
    let notifier = ServiceNotifier(variables: variables)
    notifier.ready("at work")
    notifier.alive()
    #expect(notifier.aliveSecondsMax == nil)
  }

  @Test("a watchdog that is meant for another process is not ours")
  func otherProcess() {
    let variables = ["NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"]
    #expect(ServiceNotifier(variables: variables).aliveSecondsMax == nil)
  }
}
