public import BongsuRecordLog

/// States of in-memory machines as of a record of a journal, written whole every half minute, so that a restart replays
/// only what came after.
///
/// Two files take turns, and each is replaced atomically; of the two the newest good one counts. So a crash at any point,
/// or a damaged file, costs a longer replay and nothing else, as long as the journal is kept from ``trimRecord(_:)`` on.
///
/// Not thread-safe; one owner.
public struct CheckpointStore {
  /// One machine's state.
  public struct Blob: Hashable, Sendable {
    /// What it is the state of, such as `shard-0/sessions`; at most ``StoreLimits/checkpointNameBytesMax`` bytes.
    public var name: String
    /// All records up to this one are in it.
    public var record: UInt64
    public var bytes: [UInt8]

    /// The state called `name` as of `record`.
    public init(name: String, record: UInt64, bytes: [UInt8]) {
      self.name = name
      self.record = record
      self.bytes = bytes
    }
  }

  private let disk: any Disk
  private var generation: UInt64 = 0
  /// Blobs of the newest good file, and records of the other one.
  public private(set) var blobs: [Blob] = []
  private var olderRecords: [String: UInt64] = [:]
  /// What was found to be damaged at open, one line each.
  public private(set) var damage: [String] = []

  private static let names = ["checkpoint-0", "checkpoint-1"]
  private static let magic: [UInt8] = Array("BONGCKPT".utf8)
  private static let version: UInt16 = 1

  /// Reads what is there. Damage is noted, never thrown.
  ///
  /// - Throws: what the disk refuses.
  public init(disk: any Disk) throws(DiskError) {
    self.disk = disk
    for name in Self.names {
      guard let file = try disk.contents(of: name, byteCountMax: StoreLimits.checkpointBytesMax) else { continue }
      // SAFETY: bytes have no padding.
      guard let found = unsafe Self.decode(file.span.bytes) else {
        damage.append("checkpoint '\(name)' is damaged, an older one and a longer replay take its place")
        continue
      }
      let records = Dictionary(found.blobs.map { ($0.name, $0.record) }) { $1 }
      if found.generation > generation {
        olderRecords = Dictionary(blobs.map { ($0.name, $0.record) }) { $1 }
        generation = found.generation
        blobs = found.blobs
      } else {
        olderRecords = records
      }
    }
  }

  /// The state called `name`; `nil` when none is kept.
  public func blob(_ name: String) -> Blob? { blobs.first { $0.name == name } }

  /// The first record that a restart may need for the state called `name`, whichever of the two files it finds; 1 when
  /// one of them does not have it. Records below may be trimmed as far as this state is concerned.
  public func trimRecord(_ name: String) -> UInt64 {
    guard let newer = blob(name)?.record, let older = olderRecords[name] else { return 1 }
    return min(newer, older) + 1
  }

  /// Replaces the older file by `new`.
  ///
  /// - Throws: what the disk refuses; then the newest file stands.
  public mutating func store(_ new: [Blob]) throws(DiskError) {
    precondition(new.count <= StoreLimits.checkpointBlobsMax, "\(new.count) blobs")
    let next = generation + 1
    var bytes = Self.magic
    bytes.append(littleEndian: Self.version)
    bytes.append(littleEndian: UInt16(new.count))
    bytes.append(littleEndian: next)
    for blob in new {
      precondition(blob.name.utf8.count <= StoreLimits.checkpointNameBytesMax, "blob name '\(blob.name)'")
      bytes.append(UInt8(blob.name.utf8.count))
      bytes += Array(blob.name.utf8)
      bytes.append(littleEndian: blob.record)
      bytes.append(littleEndian: UInt32(blob.bytes.count))
      bytes += blob.bytes
    }
    var checksum = CRC32C()
    checksum.update(bytes.span)
    bytes.append(littleEndian: checksum.value)
    precondition(bytes.count <= StoreLimits.checkpointBytesMax, "checkpoint of \(bytes.count) bytes")
    try disk.replace(Self.names[Int(next & 1)], with: bytes.span)
    Failpoint.pass("checkpoint: a file is replaced")
    olderRecords = Dictionary(blobs.map { ($0.name, $0.record) }) { $1 }
    generation = next
    blobs = new
  }

  private static func decode(_ file: RawSpan) -> (generation: UInt64, blobs: [Blob])? {
    let end = file.byteCount - 4
    guard end >= 20 else { return nil }
    var checksum = CRC32C()
    checksum.update(file.extracting(first: end))
    guard checksum.value == file.loadLittleEndian(UInt32.self, at: end),
      magic.indices.allSatisfy({ file.loadLittleEndian(UInt8.self, at: $0) == magic[$0] }),
      file.loadLittleEndian(UInt16.self, at: 8) == version
    else { return nil }
    var blobs: [Blob] = []
    var offset = 20
    for _ in 0..<Int(file.loadLittleEndian(UInt16.self, at: 10)) {
      guard offset < end else { return nil }
      let nameBytes = Int(file.loadLittleEndian(UInt8.self, at: offset))
      guard offset + 1 + nameBytes + 12 <= end else { return nil }
      let name = String(decoding: array(file, offset + 1, nameBytes), as: UTF8.self)
      offset += 1 + nameBytes
      let record = file.loadLittleEndian(UInt64.self, at: offset)
      let count = Int(file.loadLittleEndian(UInt32.self, at: offset + 8))
      offset += 12
      guard count <= end - offset else { return nil }
      blobs.append(Blob(name: name, record: record, bytes: array(file, offset, count)))
      offset += count
    }
    guard offset == end else { return nil }
    return (file.loadLittleEndian(UInt64.self, at: 12), blobs)
  }

  private static func array(_ bytes: RawSpan, _ start: Int, _ count: Int) -> [UInt8] {
    // SAFETY: the buffer is valid for the closure and copied.
    unsafe bytes.extracting(start..<(start + count)).withUnsafeBytes { unsafe Array($0) }
  }
}
