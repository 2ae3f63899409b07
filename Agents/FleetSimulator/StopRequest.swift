import Foundation
import Synchronization

/// Turns SIGINT and SIGTERM, or a request of our own, into a flag that a loop can wait on.
final class StopRequest: @unchecked Sendable {
  // `@unchecked Sendable`: the sources are set in `init` and live as long as the process.
  private let requested = Atomic<Bool>(false)
  private var sources: [any DispatchSourceSignal] = []

  init() {
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { [weak self] in self?.request() }
      source.resume()
      sources.append(source)
    }
  }

  var isRequested: Bool { requested.load(ordering: .relaxed) }

  func request() { requested.store(true, ordering: .relaxed) }

  func wait(milliseconds: Int) {
    if !isRequested { usleep(UInt32(milliseconds) * 1000) }
  }
}
