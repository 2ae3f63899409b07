internal import BongsuRecordLog

/// Up to which record of each shard's journal all partitions have everything, for each group of nodes: a hint that saves
/// reading. What counts is in the partitions, so a file that is lost or too old costs time only.
struct RawProgress: Equatable {
  private static let name = "progress"
  private static let magic: [UInt8] = Array("BONGRAWP".utf8)

  /// By shard, then by group.
  var records: [[UInt64]]

  init(shards: Int) {
    records = [[UInt64]](repeating: [UInt64](repeating: 0, count: RawGroups.count), count: shards)
  }

  /// Reads it; all zero when it is missing, damaged, or of another number of shards.
  init(_ disk: any Disk, shards: Int, _ damage: inout [String]) throws(DiskError) {
    self.init(shards: shards)
    let count = 8 + shards * RawGroups.count * 8 + 4
    guard let bytes = try disk.contents(of: Self.name, byteCountMax: 1 << 20) else { return }
    var checksum = CRC32C()
    let summed = bytes[..<max(0, bytes.count - 4)]
    checksum.update(summed.span)
    var cursor = count - 4
    guard bytes.count == count, Array(bytes[..<8]) == Self.magic, bytes.word(&cursor) == checksum.value else {
      damage.append("'\(Self.name)' of the raw history is damaged: the journal is read from its start")
      return
    }
    cursor = 8
    for shard in 0..<shards {
      for group in 0..<RawGroups.count {
        let low = bytes.word(&cursor) ?? 0
        let high = bytes.word(&cursor) ?? 0
        records[shard][group] = UInt64(high) << 32 | UInt64(low)
      }
    }
  }

  func store(_ disk: any Disk) throws(DiskError) {
    var bytes = Self.magic
    for shard in records { for record in shard { bytes.append(littleEndian: record) } }
    var checksum = CRC32C()
    checksum.update(bytes.span)
    bytes.append(littleEndian: checksum.value)
    try disk.replace(Self.name, with: bytes.span)
  }
}
