internal import BongsuModel
internal import BongsuRecordLog
internal import BongsuThreads
internal import Foundation

/// The partition files of a data directory: which there are, which are open, how large they are, what was wrong with them.
///
///     DATA/raw/raw-1800000000.sqlite    the hour that begins at that second
///     DATA/raw/progress                 how far all of them are
///
/// Thread rule: from any thread; ``removeOldest(bytesMax:before:)``, ``setAside(_:_:)`` and whatever writes into a
/// partition from one thread at a time.
final class RawStore: Sendable {
  let directory: String
  let shards: Int
  private let say: @Sendable (String) -> Void
  private let state: ThreadLock<State>

  private struct State {
    /// Starts of the partitions there are, milliseconds.
    var known: Set<Int64> = []
    var open: [Int64: Open] = [:]
    var said: Set<String> = []
    var damages = 0
    /// Starts of partitions of which some were set aside, now or in former runs: what they had may be missing.
    var incomplete: Set<Int64> = []
    var setAsides = 0
  }

  /// A partition that is open for whoever asks, or only for those who have it already.
  private struct Open {
    private(set) weak var lent: RawPartition?
    private var held: RawPartition?
    private(set) var used = ContinuousClock.now

    init(_ partition: RawPartition) {
      lent = partition
      held = partition
    }

    var isHeld: Bool { held != nil }

    mutating func use() -> RawPartition? {
      held = lent
      used = .now
      return held
    }

    mutating func letGo() { held = nil }
  }

  /// Partitions that stay open, and how long one does that nobody asks for: of every node each knows what it has of it, in a
  /// large fleet many megabytes.
  private let openMax: Int
  private static let idle: Duration = .seconds(600)

  init(
    directory: String, shards: Int, openMax: Int = 32, say: @escaping @Sendable (String) -> Void
  ) throws(StoreError) {
    self.directory = directory
    self.openMax = openMax
    self.shards = shards
    self.say = say
    let files = FileManager.default
    do {
      try files.createDirectory(
        atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o750])
      let names = try files.contentsOfDirectory(atPath: directory)
      let aside = names.compactMap { name in
        name.range(of: ".damaged-").flatMap { Self.start(of: String(name[..<$0.lowerBound])) }
      }
      state = ThreadLock(State(known: Set(names.compactMap { Self.start(of: $0) }), incomplete: Set(aside)))
    } catch {
      throw StoreError.file(path: directory, code: Int32((error as NSError).code))
    }
  }

  private static func name(_ start: Int64) -> String { "raw-\(start / 1000).sqlite" }

  private static func start(of name: String) -> Int64? {
    guard name.hasPrefix("raw-"), name.hasSuffix(".sqlite"),
      let seconds = Int64(name.dropFirst(4).dropLast(7)), seconds >= 0,
      seconds <= Limits.tickRange.upperBound.unixMilliseconds / 1000
    else { return nil }
    let start = seconds * 1000
    return start % StoreLimits.partitionMilliseconds == 0 ? start : nil
  }

  /// Start of the partition that holds `tick`.
  static func partition(of tick: Int64) -> Int64 {
    tick.flooredDivision(by: StoreLimits.partitionMilliseconds) * StoreLimits.partitionMilliseconds
  }

  static func ticks(of start: Int64) -> ClosedRange<Int64> { start...(start + StoreLimits.partitionMilliseconds - 1) }

  func path(_ start: Int64) -> String { "\(directory)/\(Self.name(start))" }

  /// Starts of the partitions there are, ascending.
  var starts: [Int64] { state.withLock { $0.known.sorted() } }

  /// Hours of which a damaged partition was set aside, now or in former runs, as far as they touch `ticks`: one line each.
  ///
  /// The file stays beside the others under its new name. Who takes it away says that the loss is known.
  func missingHours(_ ticks: ClosedRange<Int64>) -> [String] {
    state.withLock { $0.incomplete.sorted() }.filter { Self.ticks(of: $0).overlaps(ticks) }
      .map { "'\(path($0))' was damaged and set aside: rows of that hour may be missing" }
  }

  /// Partitions set aside since the start.
  var setAsideCount: Int { state.withLock { $0.setAsides } }

  /// Damage that was named since the start.
  var damageCount: Int { state.withLock { $0.damages } }

  // MARK: Opening

  /// The partition that begins at `start`; `nil` when there is none and none is to be made, or when it is damaged beyond
  /// reading: it is then set aside, since nobody can have it open.
  func partition(_ start: Int64, making: Bool) throws(StoreError) -> RawPartition? {
    try state.withLock { state throws(StoreError) -> RawPartition? in
      // One object for a file at a time, since each knows what it wrote.
      if let open = state.open[start]?.use() { return open }
      guard making || state.known.contains(start) else { return nil }
      let opened: RawPartition
      do throws(StoreError) {
        opened = try RawPartition(path: path(start), start: Tick(unixMilliseconds: start))
      } catch {
        guard error.isDamage else { throw error }
        note("\(error)", &state)
        try setAsideFile(start, &state)
        guard making else { return nil }
        opened = try RawPartition(path: path(start), start: Tick(unixMilliseconds: start))
      }
      for line in opened.damage { note(line, &state) }
      state.known.insert(start)
      closeIdle(&state)
      state.open[start] = Open(opened)
      return opened
    }
  }

  /// Closes partitions that nobody has asked for in a while, and those used longest ago where there are too many.
  private func closeIdle(_ state: inout State) {
    let now = ContinuousClock.now
    let held = state.open.filter { $0.value.isHeld }.sorted { $0.value.used > $1.value.used }
    for (place, entry) in held.enumerated() where place >= openMax - 1 || now - entry.value.used >= Self.idle {
      state.open[entry.key]?.letGo()
    }
    state.open = state.open.filter { $0.value.lent != nil }
  }

  /// Puts a partition that cannot be written any more out of the way; a new one takes its place when there are rows for it.
  func setAside(_ start: Int64, _ why: String) throws(StoreError) {
    try state.withLock { state throws(StoreError) in
      note(why, &state)
      state.open[start] = nil
      try setAsideFile(start, &state)
    }
  }

  private func setAsideFile(_ start: Int64, _ state: inout State) throws(StoreError) {
    try StoreDatabase.setAside(path: path(start), now: Int64(Date().timeIntervalSince1970 * 1000))
    state.known.remove(start)
    state.incomplete.insert(start)
    state.setAsides += 1
  }

  /// Names damage, each once.
  func note(damage lines: [String]) {
    guard !lines.isEmpty else { return }
    state.withLock { state in for line in lines { note(line, &state) } }
  }

  private func note(_ line: String, _ state: inout State) {
    guard state.said.count < 10_000, state.said.insert(line).inserted else { return }
    state.damages += 1
    say("raw history: \(line)")
  }

  // MARK: Size

  /// Bytes of one partition on disk, its write-ahead log included.
  func bytes(of start: Int64) -> Int64 {
    ["", "-wal"].reduce(0) { sum, suffix in
      let attributes = try? FileManager.default.attributesOfItem(atPath: path(start) + suffix)
      return sum + ((attributes?[.size] as? NSNumber)?.int64Value ?? 0)
    }
  }

  /// Bytes of all partitions.
  var bytes: Int64 { starts.reduce(0) { $0 + bytes(of: $1) } }

  /// Removes whole partitions, oldest first: those that end before `tick`, and as many as it takes to come down to
  /// `bytesMax`; the newest stays.
  ///
  /// - Parameter willRemove: called with the end of each before it goes; when it throws, the partition stays.
  /// - Returns: where the ones that were removed for their size ended; `nil` when none was.
  @discardableResult
  func removeOldest(
    bytesMax: Int64, before tick: Int64, willRemove: (_ end: Int64) throws -> Void = { _ in }
  ) rethrows -> (removed: Int, end: Int64?) {
    let sizes = starts.map { (start: $0, bytes: bytes(of: $0)) }
    var total = sizes.reduce(0) { $0 + $1.bytes }
    var removed = 0
    var end: Int64?
    for (start, bytes) in sizes.dropLast() {
      let isOld = start + StoreLimits.partitionMilliseconds <= tick
      guard isOld || total > bytesMax else { break }
      try willRemove(start + StoreLimits.partitionMilliseconds)
      Failpoint.pass("raw: a partition is noted as removed")
      state.withLock { state in
        state.open[start] = nil
        state.known.remove(start)
      }
      for suffix in ["", "-wal", "-shm"] {
        try? FileManager.default.removeItem(atPath: path(start) + suffix)
        Failpoint.pass("raw: a part of a partition is removed")
      }
      total -= bytes
      removed += 1
      if !isOld { end = start + StoreLimits.partitionMilliseconds }
    }
    return (removed, end)
  }
}

extension StoreError {
  /// Whether the file has to be set aside.
  var isDamage: Bool {
    switch self {
    case .damaged, .newerFormat, .notDurable: true
    // SQLITE_ERROR: the schema is not what it was; -1: a value of another type. Versions are those of the file `format`,
    // which is looked at before any other: a newer one in a single file is no version.
    case .database(_, let code, _): code == -1 || code & 0xFF == 1
    default: false
    }
  }
}
