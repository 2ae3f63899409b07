internal import NIOCore
internal import Synchronization

/// The moment at which the other end of a connection is gone, so that nothing is computed for nobody.
///
/// Thread rule: any thread; what watches is called on the connection's event loop, or at once when it is too late.
final class HangUp: Sendable {
  private struct State {
    var isTold = false
    var next = 0
    var watching: [Int: @Sendable () -> Void] = [:]
  }

  private let state = Mutex(State())

  /// Of a connection as the server sets them up; `nil` of one that has been taken down already.
  static func of(_ channel: any Channel) async -> HangUp? {
    try? await channel.eventLoop.submit {
      try channel.pipeline.syncOperations.handler(type: ConnectionPatience.self).hangUp
    }.get()
  }

  /// Calls `body` once when the other end goes, unless ``forget(_:)`` is told the result before.
  func watch(_ body: @escaping @Sendable () -> Void) -> Int {
    let number: Int? = state.withLock { state in
      guard !state.isTold else { return nil }
      state.next += 1
      state.watching[state.next] = body
      return state.next
    }
    if let number { return number }
    body()
    return 0
  }

  func forget(_ number: Int) {
    _ = state.withLock { $0.watching.removeValue(forKey: number) }
  }

  func tell() {
    let told = state.withLock { state in
      state.isTold = true
      defer { state.watching = [:] }
      return Array(state.watching.values)
    }
    for body in told { body() }
  }
}
