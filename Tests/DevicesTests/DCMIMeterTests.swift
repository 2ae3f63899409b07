import BongsuModel
import Glibc
import Testing

@testable import BongsuDevices

@Suite("machine power by IPMI")
struct DCMIMeterTests {
  /// A controller that answers when it is told to.
  private final class Controller: IPMIPort {
    var asked: [(id: Int, data: [UInt8])] = []
    var answers: [(id: Int, bytes: [UInt8])] = []
    /// What is answered at once.
    var answer: [UInt8]?
    var takes = true

    func send(netfn: UInt8, command: UInt8, id: Int, data: [UInt8]) -> Bool {
      guard takes, netfn == 0x2C, command == 0x02 else { return false }
      asked.append((id, data))
      if let answer { answers.append((id, answer)) }
      return true
    }

    func receive() -> (id: Int, bytes: [UInt8])? { answers.isEmpty ? nil : answers.removeFirst() }
  }

  /// 462 W now; minimum 2 W and maximum 468 W, which are not to be believed; average 459 W over 1000 ms.
  private static let reading: [UInt8] = [
    0x00, 0xDC, 0xCE, 0x01, 0x02, 0x00, 0xD4, 0x01, 0xCB, 0x01, 0x10, 0x20, 0x30, 0x60, 0xE8, 0x03, 0x00, 0x00, 0x40,
  ]

  @Test("an answer's current power is taken")
  func current() { #expect(DCMIMeter.milliwatts(of: Self.reading) == 462_000) }

  @Test("what is no reading is none")
  func noReading() {
    #expect(DCMIMeter.milliwatts(of: []) == nil)
    #expect(DCMIMeter.milliwatts(of: [0xC1]) == nil)
    for length in 0..<Self.reading.count {
      #expect(DCMIMeter.milliwatts(of: Array(Self.reading.prefix(length))) == nil)
    }
    for (place, byte) in [(0, 0xC1), (1, 0xDD), (18, 0x00)] {
      var answer = Self.reading
      answer[place] = UInt8(byte)
      #expect(DCMIMeter.milliwatts(of: answer) == nil)
    }
    var dark = Self.reading
    (dark[2], dark[3]) = (0, 0)
    #expect(DCMIMeter.milliwatts(of: dark) == nil)
  }

  @Test("the controller is asked every five seconds, never waited for, and a reading ends after fifteen")
  func pace() {
    let controller = Controller()
    let meter = DCMIMeter(controller)
    let second: Int64 = 1_000_000_000
    #expect(meter.milliwatts(at: 0) == nil && controller.asked.count == 1)
    #expect(controller.asked[0].data == [0xDC, 1, 0, 0])
    controller.answers.append((controller.asked[0].id, Self.reading))
    for time in 1...4 { #expect(meter.milliwatts(at: Int64(time) * second) == 462_000) }
    #expect(controller.asked.count == 1)
    // No answer any more: asked again and again, and the old reading ends.
    for time in 5...16 { #expect(meter.milliwatts(at: Int64(time) * second) == 462_000) }
    #expect(controller.asked.count == 4)
    #expect(meter.milliwatts(at: 17 * second) == nil)
    // An answer that was given up belongs to nobody; the one that is awaited counts.
    controller.answers.append((controller.asked[1].id, Self.reading))
    #expect(meter.milliwatts(at: 18 * second) == nil)
    _ = meter.milliwatts(at: 20 * second)
    controller.answers.append((controller.asked.last?.id ?? 0, Self.reading))
    #expect(meter.milliwatts(at: 21 * second) == 462_000)
  }

  @Test("the source uses the controller where no sensor of the kernel gives the machine's power")
  func source() throws {
    let tree = try DeviceTree()
    let controller = Controller()
    controller.answer = Self.reading
    let source = HostSource(
      sysfsRoot: tree.path, openPort: { () throws(SysfsError) in controller }, monotonicNanoseconds: { 0 })
    let inventory = source.discover()
    #expect(inventory.columns.map(\.id) == [.nodePower])
    #expect(source.condition == .available("machine power by IPMI; no processor energy"))
    #expect(SourceReading(source, inventory, at: Tick(unixMilliseconds: 0))(.nodePower).reading == 462_000)
    try tree.write("class/hwmon/hwmon1/name", "power_meter")
    try tree.write("class/hwmon/hwmon1/power1_average", "500000000")
    let other = Controller()
    let both = HostSource(
      sysfsRoot: tree.path, openPort: { () throws(SysfsError) in other }, monotonicNanoseconds: { 0 })
    let metered = both.discover()
    #expect(SourceReading(both, metered, at: Tick(unixMilliseconds: 0))(.nodePower).reading == 500_000)
    #expect(other.asked.isEmpty)
  }

  @Test("a controller without power readings makes no column; a device that may not be opened is named")
  func refused() throws {
    let tree = try DeviceTree()
    let controller = Controller()
    controller.answer = [0xC1]
    let source = HostSource(
      sysfsRoot: tree.path, openPort: { () throws(SysfsError) in controller }, monotonicNanoseconds: { 0 })
    #expect(source.discover().width == 0)
    let denied = HostSource(
      sysfsRoot: tree.path,
      openPort: { () throws(SysfsError) in throw SysfsError(path: "/dev/ipmi0", errno: EACCES) },
      monotonicNanoseconds: { 0 })
    #expect(denied.discover().width == 0)
    // Reading alone would not do: a request is written.
    let line = denied.condition.description
    #expect(denied.condition.word == "unavailable")
    #expect(
      line.hasPrefix("cannot read /dev/ipmi0: Permission denied; asking the controller takes read and write access"))
    #expect(!line.contains("CAP_DAC_READ_SEARCH") && line.hasSuffix("by Redfish with bongsu-facility-agent"))
  }
}
