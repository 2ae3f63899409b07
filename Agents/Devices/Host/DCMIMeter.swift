internal import CBongsuPlatform
import Glibc

/// The way to the management controller of this machine.
protocol IPMIPort: AnyObject {
  /// Hands a command over. `false` when it is not taken.
  func send(netfn: UInt8, command: UInt8, id: Int, data: [UInt8]) -> Bool
  /// An answer that has come, with its command's id; `nil` when there is none yet.
  func receive() -> (id: Int, bytes: [UInt8])?
}

/// The kernel's IPMI device.
final class KernelIPMIPort: IPMIPort {
  private let descriptor: Int32
  private static let answerBytesMax = 64

  init(path: String) throws(SysfsError) {
    descriptor = unsafe open(path, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { throw SysfsError(path: path, errno: errno) }
  }

  deinit { _ = close(descriptor) }

  func send(netfn: UInt8, command: UInt8, id: Int, data: [UInt8]) -> Bool {
    // SAFETY: the kernel copies as many bytes as the array has.
    unsafe data.withUnsafeBufferPointer {
      unsafe bongsu_ipmi_send(descriptor, netfn, command, id, $0.baseAddress, UInt16($0.count)) == 0
    }
  }

  func receive() -> (id: Int, bytes: [UInt8])? {
    var bytes = [UInt8](repeating: 0, count: Self.answerBytesMax)
    var id = 0
    // SAFETY: at most as many bytes are written as the array has.
    let count = unsafe bongsu_ipmi_receive(descriptor, &id, &bytes, UInt16(bytes.count))
    guard count >= 0 else { return nil }
    return (id, Array(bytes.prefix(Int(count))))
  }
}

/// The machine's power by IPMI DCMI: command Get Power Reading of the group extension 0xDC.
///
///     request    DC 01 00 00                         mode 1: system power
///     answer     code DC  current min max average    u16 watts each, little-endian
///                timestamp period state              u32 u32 u8; bit 6 of the state: measuring
///
/// The controller is slow and busy, so it is asked every ``periodNanoseconds`` and never waited for: a reading holds until
/// the next comes, at most ``ageNanosecondsMax``. Only the current power is taken; controllers state minimum and maximum
/// over periods that are not the ones they give.
///
/// Source: DCMI specification 1.5, 6.6.1.
final class DCMIMeter {
  static let periodNanoseconds: Int64 = 5_000_000_000
  static let ageNanosecondsMax: Int64 = 15_000_000_000
  /// How long the first answer is waited for, and an outstanding one before it is given up.
  static let patienceNanoseconds: Int64 = 2_000_000_000

  private static let netfn: UInt8 = 0x2C
  private static let command: UInt8 = 0x02
  private static let group: UInt8 = 0xDC
  private static let measuring: UInt8 = 0x40

  private let port: any IPMIPort
  private var asked: (id: Int, at: Int64)?
  private var lastAsked: Int64?
  private var nextID = 1
  private var reading: (milliwatts: Int64, at: Int64)?

  init(_ port: any IPMIPort) { self.port = port }

  /// The newest reading that is not too old, at `now` nanoseconds of a clock that never steps. Asks for the next one
  /// when its time has come.
  func milliwatts(at now: Int64) -> Int64? {
    take(at: now)
    if let asked, now - asked.at > Self.patienceNanoseconds { self.asked = nil }
    if asked == nil, lastAsked.map({ now - $0 >= Self.periodNanoseconds }) ?? true { ask(at: now) }
    guard let reading, now - reading.at <= Self.ageNanosecondsMax else { return nil }
    return reading.milliwatts
  }

  /// Waits for the first reading; `nil` when the controller gives none.
  func firstMilliwatts(now: () -> Int64) -> Int64? {
    ask(at: now())
    let deadline = (lastAsked ?? 0) + Self.patienceNanoseconds
    while asked != nil, reading == nil, now() < deadline {
      take(at: now())
      if asked != nil { usleep(5000) }
    }
    return reading?.milliwatts
  }

  private func ask(at now: Int64) {
    lastAsked = now
    let id = nextID
    nextID += 1
    if port.send(netfn: Self.netfn, command: Self.command, id: id, data: [Self.group, 0x01, 0, 0]) {
      asked = (id, now)
    }
  }

  private func take(at now: Int64) {
    while let answer = port.receive() {
      // Answers that were given up come late and belong to nobody.
      guard answer.id == asked?.id else { continue }
      asked = nil
      if let milliwatts = Self.milliwatts(of: answer.bytes) { reading = (milliwatts, now) }
    }
  }

  /// The current power in an answer; `nil` for a refusal, an answer that is none, a controller that does not measure, and
  /// no power at all, which a machine that runs this cannot draw.
  static func milliwatts(of answer: [UInt8]) -> Int64? {
    guard answer.count >= 19, answer[0] == 0, answer[1] == group, answer[18] & measuring != 0 else { return nil }
    let watts = Int64(answer[2]) | Int64(answer[3]) << 8
    return watts > 0 ? watts * 1000 : nil
  }
}
