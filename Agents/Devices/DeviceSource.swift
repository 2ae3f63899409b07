public import BongsuModel

/// Something that yields readings of a node's devices: a driver library, the kernel, a recording, a simulation.
///
/// A source never fails as a whole towards its caller. Whatever it cannot read is absent, what is wrong with it stands
/// in ``condition`` as one line for people, and calling it again is always allowed. Retrying, backing off and guarding
/// against calls that never return belong to the caller, so that every source gets them alike.
///
/// - Thread rule: all members are called from one thread at a time. The owner may move a source to another thread
///   between calls, never during one.
public protocol DeviceSource: AnyObject {
  /// What the source is called in messages, unique within one agent: `nvml`, `host`, `replay:run.csv`.
  var name: String { get }

  /// Whether ``read(_:into:)`` may wait for something outside this process, such as a driver. Such a source is read on
  /// a thread of its own; a prompt one on the thread that keeps time.
  var mayBlock: Bool { get }

  /// Whether it keeps a driver of GPUs open, which is in the way of resets and upgrades.
  var holdsGPUs: Bool { get }

  /// How the source is, as of the last call.
  var condition: SourceCondition { get }

  /// Looks for devices, opening or reopening whatever the readings need. May take seconds with a driver that starts.
  ///
  /// Called at start, after ``ReadOutcome/layoutChanged``, and now and then while ``condition`` is not
  /// ``SourceCondition/available(_:)``. A device that was known and does not answer stays in the inventory, so that it
  /// is seen to be missing.
  func discover() -> SourceInventory

  /// Reads every value for `tick` into `values`, in the order of the last inventory; what cannot be read becomes
  /// ``SampleValue/absent``.
  ///
  /// Gauges describe the time since the previous tick. Ticks grow from call to call, with gaps where the caller was
  /// late. The caller sets nothing beforehand: every element is written.
  ///
  /// - Precondition: `values` holds ``SourceInventory/width`` elements of the last inventory.
  func read(_ tick: Tick, into values: inout MutableSpan<Int64>) -> ReadOutcome

  /// Lets go of driver and devices for maintenance, keeping the inventory; readings are absent until the next
  /// ``discover()``.
  func release()
}

extension DeviceSource {
  public var holdsGPUs: Bool { false }
}

/// What came of one ``DeviceSource/read(_:into:)``.
public enum ReadOutcome: Hashable, Sendable {
  /// The values stand as written; some may be absent.
  case complete
  /// The values stand, and devices or metrics have changed: call ``DeviceSource/discover()`` before the next read.
  case layoutChanged
}

/// How a source is, in one word for programs and one line for people.
public enum SourceCondition: Hashable, Sendable, CustomStringConvertible {
  /// All of it answers; the line says what it is.
  case available(String)
  /// Some of it does not answer; the line says what.
  case degraded(String)
  /// Nothing answers: no driver, no permission, no such device. The line says why and what would help.
  case unavailable(String)
  /// The last call has not come back in time.
  case hung(String)
  /// Let go on request.
  case released

  /// The word alone: `available`, `degraded`, `unavailable`, `hung`, `released`.
  public var word: String {
    switch self {
    case .available: "available"
    case .degraded: "degraded"
    case .unavailable: "unavailable"
    case .hung: "hung"
    case .released: "released"
    }
  }

  /// Whether another ``DeviceSource/discover()`` could improve it.
  public var isWorthRetrying: Bool {
    switch self {
    case .degraded, .unavailable: true
    case .available, .hung, .released: false
    }
  }

  public var description: String {
    switch self {
    case .available(let line), .degraded(let line), .unavailable(let line), .hung(let line): line
    case .released: "released for maintenance"
    }
  }
}

/// What one source can deliver at present: metrics of devices, in a fixed order.
///
/// Values are laid out as in a ``RowLayout``: column after column, each with one value per device of its scope.
public struct SourceInventory: Hashable, Sendable {
  /// The metrics, each once.
  public let columns: [Metric]
  /// The devices; ``Device/node`` among them when a column has node scope.
  public let devices: [Device]
  /// Number of values of one reading.
  public let width: Int

  private let offsets: [Int]

  /// Nothing at all: a source without its driver.
  public static let empty = SourceInventory(columns: [], devices: [])

  /// Takes columns and devices; the node is added as a device when a column needs it and it is not there.
  public init(columns: [Metric], devices: [Device]) {
    var devices = devices
    if columns.contains(where: { $0.scope == .node }), !devices.contains(where: { $0.scope == .node }) {
      devices.append(.node)
    }
    var offsets: [Int] = []
    var width = 0
    for column in columns {
      offsets.append(width)
      width += devices.count { $0.scope == column.scope }
    }
    self.columns = columns
    self.devices = devices
    self.offsets = offsets
    self.width = width
  }

  /// Takes metrics of the catalogue by number.
  ///
  /// - Precondition: each number is in the catalogue.
  public init(metrics: [MetricID], devices: [Device]) {
    let columns = metrics.map { id in
      guard let metric = MetricCatalogue.metric(id) else {
        preconditionFailure("metric \(id.rawValue) is not in the catalogue")
      }
      return metric
    }
    self.init(columns: columns, devices: devices)
  }

  /// Position of the first value of column number `column`.
  public func offset(of column: Int) -> Int { offsets[column] }

  /// Position of the first value of `metric`, `nil` when the source does not deliver it.
  public func offset(of metric: MetricID) -> Int? {
    columns.firstIndex { $0.id == metric }.map { offsets[$0] }
  }
}
