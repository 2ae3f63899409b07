internal import CBongsuPlatform
internal import CZeroMQ
internal import Glibc

/// What to wait for, and what was found.
public struct Readiness: OptionSet, Sendable, Hashable {
  public let rawValue: UInt32

  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// At least one frame, or for a descriptor: bytes or the end, can be read.
  public static let readable = Readiness(rawValue: 1)
  /// A send would not block now.
  public static let writable = Readiness(rawValue: 2)
  /// A descriptor's other side is gone or failed. Never asked for, always reported.
  public static let failed = Readiness(rawValue: 4)
}

/// Something a poller found ready.
public struct PollEvent: Sendable, Hashable {
  /// What was given to `add`.
  public let token: UInt64
  public let readiness: Readiness

  public init(token: UInt64, readiness: Readiness) {
    self.token = token
    self.readiness = readiness
  }
}

/// Waits for any of many sockets and descriptors. Costs O(ready), not O(watched): made for one router as for ten
/// thousand dealers.
///
/// libzmq's own poll looks at every socket on every call. This one sleeps in epoll on the descriptors that sockets offer
/// (ZMQ_FD) and follows their two rules (zmq_getsockopt(3)): the descriptor says "look", not "ready", so the truth is
/// asked from ZMQ_EVENTS; and any call on the socket may swallow that hint, so sockets used since the last wait are
/// looked at again before sleeping.
///
/// Thread rule: the thread of its sockets.
public struct Poller: ~Copyable {
  private let state: PollerState

  public init() throws(TransportError) {
    state = try PollerState()
  }

  deinit {
    state.releaseSockets()
  }

  /// Watches `socket` until it is closed or removed.
  ///
  /// - Precondition: no poller watches it yet.
  public mutating func add(
    _ socket: borrowing Socket, for wanted: Readiness = .readable, token: UInt64
  ) throws(TransportError) {
    try state.add(socket.handle, wanted, token)
  }

  /// Watches a descriptor until it is removed; it must stay open so long. Level-triggered: reported while it is ready.
  public mutating func add(
    descriptor: Int32, for wanted: Readiness = .readable, token: UInt64
  ) throws(TransportError) {
    try state.add(descriptor, wanted, token)
  }

  /// Changes what is waited for, such as `.writable` after a send would have blocked.
  public mutating func update(_ socket: borrowing Socket, for wanted: Readiness) {
    guard let watch = socket.handle.watch, watch.poller === state else {
      preconditionFailure("this poller does not watch the \(socket.kind) socket")
    }
    state.update(watch.entry, wanted)
  }

  /// Stops watching `socket`. Closing it does the same.
  public mutating func remove(_ socket: borrowing Socket) {
    guard let watch = socket.handle.watch, watch.poller === state else { return }
    state.remove(watch.entry)
  }

  /// Stops watching a descriptor. To be called before it is closed.
  public mutating func remove(descriptor: Int32) {
    state.remove(descriptor: descriptor)
  }

  /// What the last `wait` found. Valid until the next one.
  public var ready: [PollEvent] {
    state.ready
  }

  /// Waits until something is ready or the time is over (`nil`: for ever), and counts it. Also returns, with 0, when a
  /// signal came, so that the caller can look at its flags.
  ///
  /// - Complexity: O(ready + sockets used since the last wait); no allocation once warm.
  public mutating func wait(timeout: Duration? = nil) throws(TransportError) -> Int {
    try state.wait(timeout)
  }
}

/// The poller's tables, shared with the handles it watches.
@safe
final class PollerState {
  private struct Entry {
    /// `nil` for a plain descriptor or a free entry.
    weak var socket: SocketHandle?
    var descriptor: Int32 = -1
    var wanted: Readiness = []
    var token: UInt64 = 0
    /// In `rechecks`.
    var isQueued = false
    /// The last wait that reported it, so that it is reported once per wait.
    var reportedIn: UInt64 = 0
  }

  private static let batch = 256
  private let epoll: Int32
  private let found: UnsafeMutablePointer<epoll_event>
  private var entries: [Entry] = []
  private var free: [Int] = []
  private var rechecks: [Int] = []
  private var round: UInt64 = 0
  private(set) var ready: [PollEvent] = []

  init() throws(TransportError) {
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    unsafe found = .allocate(capacity: Self.batch)
    if epoll < 0 { throw .failed(operation: "open", subject: "a poller", errno: errno) }
  }

  deinit {
    if epoll >= 0 { _ = Glibc.close(epoll) }
    unsafe found.deallocate()
  }

  /// The sockets hold these tables to report their use; without a poller nobody wants to know.
  func releaseSockets() {
    for entry in entries { entry.socket?.watch = nil }
  }

  func add(_ socket: SocketHandle, _ wanted: Readiness, _ token: UInt64) throws(TransportError) {
    precondition(socket.watch == nil, "a poller watches this \(socket.name) socket already")
    let descriptor = try socket.get(ZMQ_FD, "FD")
    let index = try insert(Entry(socket: socket, descriptor: descriptor, wanted: wanted, token: token), .readable)
    socket.watch = (self, index)
    recheck(index)  // it may be ready since before it was watched
  }

  func add(_ descriptor: Int32, _ wanted: Readiness, _ token: UInt64) throws(TransportError) {
    _ = try insert(Entry(descriptor: descriptor, wanted: wanted, token: token), wanted)
  }

  func update(_ index: Int, _ wanted: Readiness) {
    entries[index].wanted = wanted
    recheck(index)
  }

  func remove(descriptor: Int32) {
    if let index = entries.firstIndex(where: { $0.descriptor == descriptor && $0.socket == nil }) { remove(index) }
  }

  func remove(_ index: Int) {
    // SAFETY: the call takes no event.
    _ = epoll_ctl(epoll, EPOLL_CTL_DEL, entries[index].descriptor, nil)
    entries[index].socket?.watch = nil
    if entries[index].isQueued { rechecks.removeAll { $0 == index } }
    entries[index] = Entry()
    free.append(index)
  }

  @inline(__always)
  func recheck(_ index: Int) {
    if entries[index].isQueued { return }
    entries[index].isQueued = true
    rechecks.append(index)
  }

  func wait(_ timeout: Duration?) throws(TransportError) -> Int {
    let deadline = timeout.map { ContinuousClock.now + $0 }
    ready.removeAll(keepingCapacity: true)
    while true {
      round &+= 1
      try lookAgain()
      let isInterrupted = try sleep(
        until: ready.isEmpty ? deadline : .now, isBounded: !ready.isEmpty || deadline != nil)
      if !ready.isEmpty || isInterrupted { return ready.count }
      if let deadline, deadline <= .now { return 0 }
    }
  }

  /// Asks the sockets that were used since the last wait; those still ready stay on the list.
  private func lookAgain() throws(TransportError) {
    var kept = 0
    for position in rechecks.indices {
      let index = rechecks[position]
      if try report(index) {
        rechecks[kept] = index
        kept += 1
      } else {
        entries[index].isQueued = false
      }
    }
    rechecks.removeLast(rechecks.count - kept)
  }

  /// Reports a socket if it is ready for what is wanted.
  private func report(_ index: Int) throws(TransportError) -> Bool {
    guard let socket = entries[index].socket, unsafe socket.pointer != nil else { return false }
    let events = try socket.get(ZMQ_EVENTS, "EVENTS")
    var readiness: Readiness = []
    if events & ZMQ_POLLIN != 0 { readiness.insert(.readable) }
    if events & ZMQ_POLLOUT != 0 { readiness.insert(.writable) }
    readiness.formIntersection(entries[index].wanted)
    if readiness.isEmpty { return false }
    append(index, readiness)
    return true
  }

  /// One epoll_wait. `true` when a signal cut it short.
  private func sleep(until deadline: ContinuousClock.Instant?, isBounded: Bool) throws(TransportError) -> Bool {
    var milliseconds: Int32 = -1
    if isBounded, let deadline {
      let left = ContinuousClock.now.duration(to: deadline).millisecondsRoundedUp
      milliseconds = Int32(clamping: max(0, left))
    } else if isBounded {
      milliseconds = 0
    }
    // SAFETY: `found` has room for `batch` events.
    let count = unsafe epoll_wait(epoll, found, Int32(Self.batch), milliseconds)
    guard count >= 0 else {
      if errno == EINTR { return true }
      throw .failed(operation: "wait in", subject: "a poller", errno: errno)
    }
    for position in 0..<Int(count) {
      let event = unsafe found[position]
      let index = Int(unsafe event.data.u64)
      if entries[index].descriptor < 0 || entries[index].reportedIn == round { continue }
      if entries[index].socket != nil {
        if try report(index) { recheck(index) }
      } else {
        append(index, readiness(of: unsafe event.events))
      }
    }
    return false
  }

  private func append(_ index: Int, _ readiness: Readiness) {
    entries[index].reportedIn = round
    ready.append(PollEvent(token: entries[index].token, readiness: readiness))
  }

  private func insert(_ entry: Entry, _ wanted: Readiness) throws(TransportError) -> Int {
    let index = free.last ?? entries.count
    var event = unsafe epoll_event()
    if wanted.contains(.readable) { unsafe event.events |= EPOLLIN.rawValue }
    if wanted.contains(.writable) { unsafe event.events |= EPOLLOUT.rawValue }
    unsafe event.data.u64 = UInt64(index)
    // SAFETY: the kernel copies the event during the call.
    guard unsafe epoll_ctl(epoll, EPOLL_CTL_ADD, entry.descriptor, &event) == 0 else {
      throw .failed(operation: "watch", subject: "descriptor \(entry.descriptor)", errno: errno)
    }
    if index == entries.count { entries.append(entry) } else { entries[free.removeLast()] = entry }
    return index
  }

  private func readiness(of events: UInt32) -> Readiness {
    var readiness: Readiness = []
    if events & EPOLLIN.rawValue != 0 { readiness.insert(.readable) }
    if events & EPOLLOUT.rawValue != 0 { readiness.insert(.writable) }
    if events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 { readiness.insert(.failed) }
    return readiness
  }
}
