internal import BongsuCodec
public import BongsuModel
public import BongsuRecordLog
internal import BongsuWire

/// Which raw rows are wanted.
public struct RawFilter: Sendable {
  /// First and last tick, both included.
  public var ticks: ClosedRange<Tick>
  /// Whether a node's rows are wanted.
  public var includes: @Sendable (NodeID) -> Bool

  public init(ticks: ClosedRange<Tick>, includes: @escaping @Sendable (NodeID) -> Bool = { _ in true }) {
    self.ticks = ticks
    self.includes = includes
  }
}

/// What reading raw rows could not give.
public struct RawLosses: Hashable, Sendable {
  /// Stretches of a journal that could not be read, in words.
  public internal(set) var damage: [String] = []
  /// Rows whose base, layout or node is not in what is left of the journal: behind damage until the node's next
  /// keyframe.
  public internal(set) var undecodedRows = 0
  /// Whether rows that were stored in the asked hours are known to be lost, with chunks or a whole partition.
  public internal(set) var hasLostRows = false

  public init() {}
}

/// Reads stored rows out of the journals, which hold the raw history as far back as their size allows.
///
/// Rows of a node come in the order in which they were stored: live ones by time, late ones where they arrived. Each row
/// that counts comes exactly once. Reading goes through whole journals, a few hundred megabytes a second, and takes
/// memory for one live row per node.
public struct RawExport {
  private let journals: [any Disk]

  /// Reads the journals of all shards.
  public init(journals: [any Disk]) {
    self.journals = journals
  }

  /// Hands every row that `filter` wants to `body`, which answers whether it wants more.
  ///
  /// - Parameter through: for each journal the last record to read, so that a journal in use is read as far as it is
  ///   committed; `nil`: to the end.
  public func forEachRow(
    _ filter: RawFilter, through: [UInt64]? = nil,
    _ body: (_ node: NodeID, _ layout: RowLayout, _ tick: Tick, _ row: Span<Int64>) throws -> Bool
  ) throws -> RawLosses {
    var losses = RawLosses()
    for (index, disk) in journals.enumerated() {
      var replay = try JournalReplay(disk: disk, through: through?[index] ?? .max)
      var decoder = RowDecoder(filter.includes)
      while let event = try replay.next() {
        switch event {
        case .damage(let what): losses.damage.append(what)
        case .entry(_, let entry):
          let wantsMore = try replay.withPayload { payload in
            try decoder.take(entry, payload, &losses) { node, shape, tick, row in
              guard filter.ticks.contains(tick) else { return true }
              return try body(node, shape.layout, tick, row)
            }
          }
          guard wantsMore else { return losses }
        }
      }
    }
    return losses
  }

  /// One device's readings of one metric.
  public struct Series: Sendable {
    public let node: NodeID
    public let device: Device
    /// Ascending by tick; absent readings are left out.
    public internal(set) var samples: [Sample]
  }

  /// A reading in wire units.
  public struct Sample: Hashable, Sendable, BitwiseCopyable {
    public let tick: Tick
    public let reading: Int64
  }

  /// All readings of one metric, series by series in the order of nodes and devices, samples in the order of ticks.
  ///
  /// - Parameter maximum: samples that may be held at once.
  /// - Throws: ``StoreError/tooLarge(what:value:limit:)`` when there are more: ask for fewer nodes or a shorter time.
  public func samples(
    of metric: MetricID, in filter: RawFilter, through: [UInt64]? = nil, maximum: Int = StoreLimits.exportSamplesMax
  ) throws -> (series: [Series], losses: RawLosses) {
    struct Key: Hashable {
      let node: NodeID
      let device: Device
    }
    var found: [Key: [Sample]] = [:]
    var count = 0
    let losses = try forEachRow(filter, through: through) { node, layout, tick, row in
      guard let column = layout.column(of: metric) else { return true }
      let devices = layout.devices(in: layout.columns[column].scope)
      for (position, device) in zip(layout.range(of: column), devices) {
        guard let reading = SampleValue(bits: row[position]).reading else { continue }
        count += 1
        guard count <= maximum else {
          throw StoreError.tooLarge(what: "samples to export", value: count, limit: maximum)
        }
        found[Key(node: node, device: device), default: []].append(Sample(tick: tick, reading: reading))
      }
      return true
    }
    let series = found.map { key, samples in
      Series(node: key.node, device: key.device, samples: samples.sorted { $0.tick < $1.tick })
    }
    return (
      series.sorted {
        ($0.node, $0.device.scope.rawValue, $0.device.index, $0.device.key)
          < ($1.node, $1.device.scope.rawValue, $1.device.index, $1.device.key)
      }, losses
    )
  }
}
