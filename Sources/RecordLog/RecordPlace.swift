/// Where a record stands.
public struct RecordPlace: Hashable, Sendable {
  /// Number of the first record of its segment.
  public let segment: UInt64
  /// Where its header starts in the segment's file.
  public let offset: Int64
}

extension LogReader {
  /// Reads one record again and checks it again; `nil` when it is not there or not good any more.
  ///
  /// - Throws: what the disk refused.
  public static func payload(
    at place: RecordPlace, number: UInt64, disk: any Disk, log: String, limits: LogLimits
  ) throws(DiskError) -> [UInt8]? {
    let file: DiskFile
    do {
      file = try disk.open(SegmentFormat.name(log: log, firstNumber: place.segment), .read)
    } catch let error where error.isNotFound {
      return nil
    }
    defer { disk.close(file) }
    var header = [UInt8](repeating: 0, count: SegmentFormat.headerBytes)
    guard try disk.read(file, at: 0, into: &header, header.indices) == header.count,
      // SAFETY: here and below, bytes have no padding.
      case .good(let salt) = unsafe SegmentFormat.read(header.span.bytes, firstNumber: place.segment)
    else { return nil }
    let headerRange = 0..<RecordFormat.headerBytes
    guard try disk.read(file, at: place.offset, into: &header, headerRange) == headerRange.count,
      let record = unsafe RecordFormat.header(in: header.span.bytes, at: 0, salt: salt),
      record.number == number, record.payloadBytes <= limits.recordBytesMax
    else { return nil }
    var bytes = [UInt8](repeating: 0, count: headerRange.count + record.payloadBytes)
    guard try disk.read(file, at: place.offset, into: &bytes, bytes.indices) == bytes.count,
      unsafe RecordFormat.isIntact(record, in: bytes.span.bytes, at: 0, salt: salt)
    else { return nil }
    bytes.removeFirst(headerRange.count)
    return bytes
  }
}
