internal import BongsuRecordLog
internal import BongsuWire

/// The file that holds an agent's state: the numbering and how much of it may be used.
///
/// Drawn in FORMAT.md. An old state brought back would give numbers a second time, so each state is written twice in its
/// slot, and written in place, which needs no room on a full disk. The two slots take turns: one that tears leaves the
/// other.
struct SpoolHead {
  static let name = "spool.head"
  static let slotBytes = 4096
  static let copyDistance = 2048
  static let fileBytes = 2 * slotBytes
  private static let magic: [UInt8] = Array("BONGSPOL".utf8)
  private static let version: UInt16 = 1
  private static let headerBytes = 20

  /// Grows with each write; the higher one of the two slots counts.
  private(set) var generation: UInt64
  /// What was stored last; `nil` when no copy is good.
  private(set) var state: AgentState?

  /// No state yet.
  init() {
    generation = 0
    state = nil
  }

  /// The newest state that a file holds.
  init(file: [UInt8]) {
    self.init()
    for start in stride(from: 0, to: Self.fileBytes, by: Self.copyDistance) {
      guard file.count >= start + Self.copyDistance else { return }
      // SAFETY: bytes have no padding.
      let copy = unsafe Self.read(file.span.bytes.extracting(start..<(start + Self.copyDistance)))
      guard let copy, state == nil || copy.generation > generation else { continue }
      generation = copy.generation
      state = copy.state
    }
  }

  /// Writes `new` durably. The old state stays in force when it throws.
  mutating func store(_ new: AgentState, on disk: any Disk) throws(DiskError) {
    let next = generation + 1
    let slot = Self.slot(new, next)
    let file: DiskFile
    do {
      file = try disk.open(Self.name, .readWrite)
    } catch let error where error.isNotFound {
      try disk.replace(Self.name, with: (slot + slot).span)
      generation = next
      state = new
      return
    }
    defer { disk.close(file) }
    try disk.write(slot.span, to: file, at: Int64(next & 1) * Int64(Self.slotBytes))
    try disk.synchronize(file)
    generation = next
    state = new
  }

  private static func slot(_ state: AgentState, _ generation: UInt64) -> [UInt8] {
    var body: [UInt8] = []
    state.encode(into: &body)
    var copy = magic
    copy.append(littleEndian: version)
    copy.append(littleEndian: UInt16(body.count))
    copy.append(littleEndian: generation)
    copy += body
    var checksum = CRC32C()
    checksum.update(copy.span)
    copy.append(littleEndian: checksum.value)
    copy += [UInt8](repeating: 0, count: copyDistance - copy.count)
    return copy + copy
  }

  private static func read(_ copy: RawSpan) -> (generation: UInt64, state: AgentState)? {
    guard magic.indices.allSatisfy({ copy.loadLittleEndian(UInt8.self, at: $0) == magic[$0] }),
      copy.loadLittleEndian(UInt16.self, at: 8) == version
    else { return nil }
    let end = headerBytes + Int(copy.loadLittleEndian(UInt16.self, at: 10))
    guard end + 4 <= copy.byteCount else { return nil }
    var checksum = CRC32C()
    checksum.update(copy.extracting(first: end))
    guard checksum.value == copy.loadLittleEndian(UInt32.self, at: end),
      let state = try? AgentState(decoding: copy.extracting(headerBytes..<end))
    else { return nil }
    return (copy.loadLittleEndian(UInt64.self, at: 12), state)
  }
}
