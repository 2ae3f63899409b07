internal import Synchronization

/// What people should see of admission, said once and not at every retry.
///
/// Thread rule: any thread.
final class AdmissionNews: Sendable {
  private struct State {
    var lines: [String] = []
    /// When a topic was spoken of last, milliseconds.
    var said: [String: Int64] = [:]
    var unsaid = 0
  }

  private let state = Mutex(State())

  /// Notes a line. Lines with the same `topic` are noted once in ten minutes.
  func say(_ line: String, topic: String? = nil, at now: Int64 = 0) {
    state.withLock { state in
      if let topic {
        if let last = state.said[topic], now >= last, now - last < AdmissionLimits.repeatMilliseconds { return }
        if state.said.count >= AdmissionLimits.saidMax { state.said.removeAll() }
        state.said[topic] = now
      }
      if state.lines.count < AdmissionLimits.newsMax { state.lines.append(line) } else { state.unsaid += 1 }
    }
  }

  /// The lines since the last call, oldest first.
  func take() -> [String] {
    state.withLock { state in
      var lines = state.lines
      if state.unsaid > 0 { lines.append("\(state.unsaid) more lines about joining machines and refused keys") }
      state.lines.removeAll()
      state.unsaid = 0
      return lines
    }
  }
}
