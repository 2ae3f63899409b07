internal import Synchronization

/// What a source has to tell about how it answered: which tier served, what could not be read. Shown beside the answer.
///
/// Thread rule: any thread.
public final class SeriesAnnotations: Sendable {
  private let state = Mutex(State())

  private struct State {
    var infos: [String] = []
    var warnings: [String] = []
  }

  public init() {}

  /// Adds a remark, once, and only while there are few.
  public func addInfo(_ text: String) { state.withLock { Self.add(text, to: &$0.infos) } }

  /// Adds something that may make the answer incomplete.
  public func addWarning(_ text: String) { state.withLock { Self.add(text, to: &$0.warnings) } }

  /// Remarks in the order in which they came.
  public var infos: [String] { state.withLock { $0.infos } }
  /// What may make the answer incomplete.
  public var warnings: [String] { state.withLock { $0.warnings } }

  private static func add(_ text: String, to list: inout [String]) {
    guard list.count < SeriesLimits.annotationsMax, !list.contains(text) else { return }
    list.append(text)
  }
}
