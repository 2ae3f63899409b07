internal import Foundation

/// What a SQLite write-ahead log holds, as far as its own checksums reach (https://sqlite.org/fileformat2.html#walformat).
///
/// SQLite leaves out everything from the first frame on that is not what was written, and says nothing. So somebody has to
/// look before it opens the file.
struct WriteAheadLog {
  /// Bytes of a page of the database.
  let pageBytes: Int
  /// Pages by number as of the last commit that can be read: where in the file their newest content is.
  let pages: [Int: Int]
  /// Pages of the database as of that commit; `nil`: there is none. Behind them the file may have some that it gave back.
  let pageCount: Int?
  /// Commits that stand behind the first frame that is not what was written: lost, or never finished.
  let lostCommits: Int
  private let bytes: [UInt8]

  private static let headerBytes = 32
  private static let frameHeaderBytes = 24
  /// A log is emptied long before; a longer one is not looked into.
  private static let bytesMax = 1 << 30

  /// `nil` when there is none, or nothing in it.
  init?(path: String) {
    guard let size = (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? NSNumber,
      size.intValue > Self.headerBytes, size.intValue <= Self.bytesMax,
      let data = try? Data(contentsOf: URL(fileURLWithPath: path))
    else { return nil }
    self.init(Array(data))
  }

  init?(_ bytes: [UInt8]) {
    guard bytes.count > Self.headerBytes else { return nil }
    self.bytes = bytes
    let isBig = Self.word(bytes, 0) & 1 == 1
    var sum: (UInt32, UInt32) = (0, 0)
    Self.add(bytes, 0..<24, isBig, &sum)
    let isSound = Self.word(bytes, 0) | 1 == 0x377F_0683 && sum == (Self.word(bytes, 24), Self.word(bytes, 28))
    let stated = Int(Self.word(bytes, 8))
    guard isSound, stated >= 512, stated <= 65_536, stated.nonzeroBitCount == 1 else {
      pageBytes = 4096
      pages = [:]
      pageCount = nil
      // Nothing of it can be read; at least one commit made it.
      lostCommits = 1
      return
    }
    pageBytes = stated
    let salts = (Self.word(bytes, 16), Self.word(bytes, 20))
    let frame = Self.frameHeaderBytes + stated
    var committed: [Int: Int] = [:]
    var open: [Int: Int] = [:]
    var count: Int?
    var offset = Self.headerBytes
    while offset + frame <= bytes.count {
      var next = sum
      Self.add(bytes, offset..<offset + 8, isBig, &next)
      Self.add(bytes, offset + Self.frameHeaderBytes..<offset + frame, isBig, &next)
      guard (Self.word(bytes, offset + 8), Self.word(bytes, offset + 12)) == salts,
        next == (Self.word(bytes, offset + 16), Self.word(bytes, offset + 20))
      else { break }
      sum = next
      open[Int(Self.word(bytes, offset))] = offset + Self.frameHeaderBytes
      if Self.word(bytes, offset + 4) != 0 {
        committed.merge(open) { $1 }
        open.removeAll()
        count = Int(Self.word(bytes, offset + 4))
      }
      offset += frame
    }
    pages = committed
    pageCount = count
    // Frames of a log that was begun anew over an older one have other salts; those of a commit that never ended have
    // no mark of its end.
    var lost = 0
    while offset + frame <= bytes.count {
      let isOfThisLog =
        Self.word(bytes, offset + 8) == salts.0 || Self.word(bytes, offset + 12) == salts.1
      if isOfThisLog, Self.word(bytes, offset + 4) != 0 { lost += 1 }
      offset += frame
    }
    lostCommits = lost
  }

  /// The newest committed content of a page; `nil` when the log has none.
  func page(_ number: Int) -> [UInt8]? {
    pages[number].map { Array(bytes[$0..<$0 + pageBytes]) }
  }

  private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
    UInt32(bytes[offset]) << 24 | UInt32(bytes[offset + 1]) << 16 | UInt32(bytes[offset + 2]) << 8
      | UInt32(bytes[offset + 3])
  }

  /// Goes on with the log's running checksum over whole pairs of words.
  private static func add(_ bytes: [UInt8], _ range: Range<Int>, _ isBig: Bool, _ sum: inout (UInt32, UInt32)) {
    var (first, second) = sum
    let span = bytes.span
    var offset = range.lowerBound
    while offset < range.upperBound {
      var words: (UInt32, UInt32) = (0, 0)
      for byte in 0..<4 {
        let shift = UInt32(isBig ? 24 - 8 * byte : 8 * byte)
        words.0 |= UInt32(span[offset + byte]) &<< shift
        words.1 |= UInt32(span[offset + 4 + byte]) &<< shift
      }
      first = first &+ words.0 &+ second
      second = second &+ words.1 &+ first
      offset += 8
    }
    sum = (first, second)
  }
}
