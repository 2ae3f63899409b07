public import BongsuRecordLog
private import Glibc

/// A directory in memory that crashes, tears, fills up and fails on demand: the twin of `PosixDisk`.
///
/// It keeps two views. The *cache* is what calls see. The *platter* is what a power cut leaves: it receives a file's
/// bytes when a synchronization succeeds and names when the directory is synchronized. What is still under way at a
/// power cut lands in part, decided by the seed: each pending write whole, not at all, or torn at 512-byte sectors, and
/// a prefix of the pending changes of names (journaling file systems keep their order, and a rename is never half).
///
/// Failed synchronizations follow Linux since 4.13: the changed pages are dropped from what will reach the platter, yet
/// still shown to reads, and the next synchronization succeeds.
///
///     write ──▶ cache ──synchronize──▶ platter
///                 │ fails: pages stay visible, and never arrive
///
/// Not thread-safe; one simulation uses it from one thread.
public final class SimulatedDisk: Disk {
  /// Bytes of all files together above which writes are refused with ENOSPC.
  public var capacityBytes: Int64 = .max
  /// Chance of EIO per call, in thousandths.
  public var readFailurePermille = 0
  public var writeFailurePermille = 0
  public var synchronizeFailurePermille = 0
  /// Every changing call is refused with EROFS.
  public var isReadOnly = false
  /// Changing calls left until the machine stops; from then on every call fails until ``restart()``. `nil`: never.
  public var changesUntilCrash: Int?

  /// Whether the machine has stopped.
  public private(set) var hasCrashed = false
  /// Calls made, by what they did; for tests that count.
  public private(set) var writeCount = 0
  public private(set) var bytesWritten: Int64 = 0
  public private(set) var synchronizeCount = 0
  public private(set) var failedSynchronizeCount = 0

  private var random: SeededRandom
  private var cache: [String: Inode] = [:]
  private var platter: [String: Inode] = [:]
  private var pendingNames: [NameChange] = []
  private var openFiles: [Int32: Inode] = [:]
  private var openNames: [Int32: String] = [:]
  private var nextDescriptor: Int32 = 3

  private final class Inode {
    var cache: [UInt8] = []
    var platter: [UInt8] = []
    var pending: [PendingWrite] = []
  }

  private enum PendingWrite {
    case bytes(offset: Int, [UInt8])
    case truncate(Int)
  }

  private enum NameChange {
    case bind(String, Inode)
    case remove(String)
    case rename(String, String)
  }

  /// An empty directory whose misfortunes follow from `seed`.
  public init(seed: UInt64) {
    random = SeededRandom(seed: seed)
  }

  // MARK: Misfortune

  /// The power fails: what was not synchronized is lost or torn. The next calls see what is left.
  public func powerFails() {
    for change in pendingNames.prefix(Int.random(in: 0...pendingNames.count, using: &random)) {
      Self.apply(change, to: &platter)
    }
    pendingNames.removeAll()
    var survivors: Set<ObjectIdentifier> = []
    // In the order of names, since a dictionary's own order differs from run to run.
    for name in platter.keys.sorted() {
      guard let inode = platter[name], survivors.insert(ObjectIdentifier(inode)).inserted else { continue }
      settle(inode)
    }
    cache = platter
    reopen()
  }

  /// The process is killed: the kernel keeps all that was written, open files are closed.
  public func processDies() { reopen() }

  /// Lets a crashed machine start again. Equal to ``powerFails()`` for a machine that has not crashed.
  public func restart() {
    changesUntilCrash = nil
    powerFails()
  }

  /// Flips one bit of a stored file, in the cache and on the platter.
  public func flipBit(of name: String, byte: Int, bit: Int) {
    guard let inode = cache[name], byte < inode.cache.count else { return }
    inode.cache[byte] ^= 1 << UInt8(bit)
    if byte < inode.platter.count { inode.platter[byte] ^= 1 << UInt8(bit) }
  }

  /// Length of the file `name` as calls see it; `nil` when there is none.
  public func byteCount(named name: String) -> Int? { cache[name]?.cache.count }

  /// The bytes of the file `name` as calls see them; empty when there is none.
  public func bytes(named name: String) -> [UInt8] { cache[name]?.cache ?? [] }

  /// Puts a file there, durable at once.
  public func plant(_ name: String, _ bytes: [UInt8]) {
    let inode = Inode()
    inode.cache = bytes
    inode.platter = bytes
    cache[name] = inode
    platter[name] = inode
  }

  /// Bytes of all files as calls see them.
  public var usedBytes: Int64 { cache.values.reduce(0) { $0 + Int64($1.cache.count) } }

  // MARK: Disk

  public func open(_ name: String, _ access: FileAccess) throws(DiskError) -> DiskFile {
    try checkAlive(.open, name)
    let inode: Inode
    switch access {
    case .read, .readWrite:
      guard let found = cache[name] else { throw DiskError(.open, name, code: ENOENT) }
      if access == .readWrite && isReadOnly { throw DiskError(.open, name, code: EROFS) }
      inode = found
    case .create:
      if isReadOnly { throw DiskError(.open, name, code: EROFS) }
      guard cache[name] == nil else { throw DiskError(.open, name, code: EEXIST) }
      try spendChange(.open, name)
      inode = Inode()
      change(.bind(name, inode))
    }
    let file = DiskFile(rawValue: nextDescriptor)
    nextDescriptor += 1
    openFiles[file.rawValue] = inode
    openNames[file.rawValue] = name
    return file
  }

  public func close(_ file: DiskFile) {
    openFiles[file.rawValue] = nil
    openNames[file.rawValue] = nil
  }

  public func byteCount(of file: DiskFile) throws(DiskError) -> Int64 {
    Int64(try inode(file, .size).cache.count)
  }

  public func read(
    _ file: DiskFile, at offset: Int64, into bytes: inout [UInt8], _ range: Range<Int>
  ) throws(DiskError) -> Int {
    let inode = try inode(file, .read)
    if happens(readFailurePermille) { throw DiskError(.read, openNames[file.rawValue] ?? "", code: EIO) }
    let start = min(Int(offset), inode.cache.count)
    let count = min(range.count, inode.cache.count - start)
    bytes.replaceSubrange(
      range.lowerBound..<(range.lowerBound + count), with: inode.cache[start..<(start + count)])
    return count
  }

  public func write(_ bytes: Span<UInt8>, to file: DiskFile, at offset: Int64) throws(DiskError) {
    let name = openNames[file.rawValue] ?? ""
    let inode = try inode(file, .write)
    if isReadOnly { throw DiskError(.write, name, code: EROFS) }
    // SAFETY: copied during the call. Not byte by byte, which takes most of a simulation's time in a debug build.
    let content = unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) }
    let growth = max(0, Int64(offset) + Int64(content.count) - Int64(inode.cache.count))
    let room = max(0, capacityBytes - usedBytes)
    if growth > room {
      put(Array(content.prefix(max(0, content.count - Int(growth - room)))), to: inode, at: Int(offset))
      throw DiskError(.write, name, code: ENOSPC)
    }
    if happens(writeFailurePermille) {
      put(Array(content.prefix(Int.random(in: 0...content.count, using: &random))), to: inode, at: Int(offset))
      throw DiskError(.write, name, code: EIO)
    }
    if let left = changesUntilCrash, left <= 1 {
      put(Array(content.prefix(Int.random(in: 0...content.count, using: &random))), to: inode, at: Int(offset))
    }
    try spendChange(.write, name)
    writeCount += 1
    put(content, to: inode, at: Int(offset))
  }

  public func truncate(_ file: DiskFile, to byteCount: Int64) throws(DiskError) {
    let inode = try inode(file, .truncate)
    if isReadOnly { throw DiskError(.truncate, openNames[file.rawValue] ?? "", code: EROFS) }
    try spendChange(.truncate, openNames[file.rawValue] ?? "")
    Self.resize(&inode.cache, to: Int(byteCount))
    inode.pending.append(.truncate(Int(byteCount)))
  }

  public func synchronize(_ file: DiskFile) throws(DiskError) {
    let name = openNames[file.rawValue] ?? ""
    let inode = try inode(file, .synchronize)
    if happens(synchronizeFailurePermille) {
      failedSynchronizeCount += 1
      // Some pages may have arrived before the failure; the rest is dropped for good.
      for write in inode.pending { settle(write, of: inode) }
      inode.pending.removeAll()
      throw DiskError(.synchronize, name, code: EIO)
    }
    try spendChange(.synchronize, name)
    synchronizeCount += 1
    for write in inode.pending { Self.apply(write, to: &inode.platter) }
    inode.pending.removeAll()
  }

  public func names() throws(DiskError) -> [String] {
    try checkAlive(.list, "")
    return cache.keys.sorted()
  }

  public func remove(_ name: String) throws(DiskError) {
    try checkAlive(.remove, name)
    guard cache[name] != nil else { throw DiskError(.remove, name, code: ENOENT) }
    if isReadOnly { throw DiskError(.remove, name, code: EROFS) }
    try spendChange(.remove, name)
    change(.remove(name))
  }

  public func rename(_ name: String, to newName: String) throws(DiskError) {
    try checkAlive(.rename, name)
    guard cache[name] != nil else { throw DiskError(.rename, name, code: ENOENT) }
    if isReadOnly { throw DiskError(.rename, name, code: EROFS) }
    try spendChange(.rename, name)
    change(.rename(name, newName))
  }

  public func synchronizeDirectory() throws(DiskError) {
    try checkAlive(.synchronizeDirectory, "")
    if happens(synchronizeFailurePermille) { throw DiskError(.synchronizeDirectory, "", code: EIO) }
    try spendChange(.synchronizeDirectory, "")
    for change in pendingNames { Self.apply(change, to: &platter) }
    pendingNames.removeAll()
  }

  public func freeBytes() throws(DiskError) -> Int64 {
    try checkAlive(.freeSpace, "")
    return max(0, capacityBytes - usedBytes)
  }

  // MARK: Mechanics

  private func checkAlive(_ operation: DiskError.Operation, _ name: String) throws(DiskError) {
    if hasCrashed { throw DiskError(operation, name, code: ESHUTDOWN) }
  }

  private func spendChange(_ operation: DiskError.Operation, _ name: String) throws(DiskError) {
    guard let left = changesUntilCrash else { return }
    changesUntilCrash = left - 1
    if left <= 1 {
      hasCrashed = true
      throw DiskError(operation, name, code: ESHUTDOWN)
    }
  }

  private func happens(_ permille: Int) -> Bool {
    permille > 0 && Int.random(in: 0..<1000, using: &random) < permille
  }

  private func inode(_ file: DiskFile, _ operation: DiskError.Operation) throws(DiskError) -> Inode {
    try checkAlive(operation, openNames[file.rawValue] ?? "")
    guard let inode = openFiles[file.rawValue] else {
      throw DiskError(operation, "descriptor \(file.rawValue)", code: EBADF)
    }
    return inode
  }

  private func put(_ bytes: [UInt8], to inode: Inode, at offset: Int) {
    guard !bytes.isEmpty else { return }
    bytesWritten += Int64(bytes.count)
    let write = PendingWrite.bytes(offset: offset, bytes)
    Self.apply(write, to: &inode.cache)
    inode.pending.append(write)
  }

  private func change(_ change: NameChange) {
    Self.apply(change, to: &cache)
    pendingNames.append(change)
  }

  private func reopen() {
    openFiles.removeAll()
    openNames.removeAll()
    hasCrashed = false
  }

  /// Decides what a power cut leaves of a file.
  private func settle(_ inode: Inode) {
    for write in inode.pending { settle(write, of: inode) }
    inode.pending.removeAll()
    inode.cache = inode.platter
  }

  /// Lets one pending change arrive whole, in part, or not at all.
  private func settle(_ write: PendingWrite, of inode: Inode) {
    switch (Int.random(in: 0..<3, using: &random), write) {
    case (0, _): break
    case (1, _), (_, .truncate): Self.apply(write, to: &inode.platter)
    case (_, .bytes(let offset, let bytes)):
      // Sectors arrive in any order; a hole in front of an arrived one reads as zeros.
      var start = 0
      while start < bytes.count {
        let end = min(bytes.count, ((offset + start) / 512 + 1) * 512 - offset)
        if Bool.random(using: &random) {
          Self.apply(.bytes(offset: offset + start, Array(bytes[start..<end])), to: &inode.platter)
        }
        start = end
      }
    }
  }

  private static func apply(_ write: PendingWrite, to bytes: inout [UInt8]) {
    switch write {
    case .bytes(let offset, let content):
      if bytes.count < offset { resize(&bytes, to: offset) }
      if offset == bytes.count {
        bytes += content
      } else {
        bytes.replaceSubrange(offset..<min(offset + content.count, bytes.count), with: content)
      }
    case .truncate(let count): resize(&bytes, to: count)
    }
  }

  private static func resize(_ bytes: inout [UInt8], to count: Int) {
    if bytes.count > count {
      bytes.removeLast(bytes.count - count)
    } else {
      bytes += [UInt8](repeating: 0, count: count - bytes.count)
    }
  }

  private static func apply(_ change: NameChange, to names: inout [String: Inode]) {
    switch change {
    case .bind(let name, let inode): names[name] = inode
    case .remove(let name): names[name] = nil
    case .rename(let name, let newName):
      names[newName] = names[name]
      names[name] = nil
    }
  }
}
