import BongsuFleet
import BongsuIngest
import BongsuModel
import BongsuRollup
import BongsuSeries

/// The newest row of every node as series: one sample each, without touching the disk. For an instant shortly before the
/// newest tick the row of that instant, which the live table keeps for some ticks.
///
/// A series ends three intervals after its last tick: later it carries a stale marker one millisecond behind them. That
/// is the rule for stored series too, so live and stored ones agree.
struct LiveSeries: Sendable {
  let engine: IngestEngine
  let tree: FleetTree
  private let directory: LiveDirectory

  /// How long one shard may take to answer one turn.
  private static let answerMillisecondsMax = 2000

  init(engine: IngestEngine, tree: FleetTree) {
    self.engine = engine
    self.tree = tree
    directory = LiveDirectory(shardCount: engine.shardCount, labels: SeriesLabels(tree: tree))
  }

  /// When a series whose last sample is at `tick` ends.
  static func staleAt(_ tick: Tick, _ interval: TickInterval) -> Int64 {
    tick.unixMilliseconds &+ 3 * Int64(interval.milliseconds) &+ 1
  }

  func canHold(name: String) -> Bool { !name.utf8.contains(0x3A) }

  /// Nodes all of whose rows in the live table lie behind the end of a selection: what they had before is stored.
  struct Ahead {
    var nodes: Set<NodeID> = []
    var intervalMillisecondsMax: Int32 = 0
  }

  /// The newest tick that all levels have closed.
  var newestTick: Tick? { engine.newest?.closed.tick }

  /// The longest interval of all nodes, milliseconds; the longest there may be as long as none is known.
  var intervalMillisecondsMax: Int64 {
    directory.intervalMillisecondsMax ?? Int64(BongsuModel.Limits.tickIntervalMillisecondsMax)
  }

  /// Visits matching series, and names the nodes that it cannot speak for.
  ///
  /// - Parameter families: takes the devices of a node at once, for a selection of the newest samples. Their labels, which
  ///   lie all over the memory, are then not touched.
  @discardableResult
  func visit(
    _ selection: SeriesSelection, _ filter: SeriesFilter, families: FamilyVisit? = nil,
    _ visit: (LabelSet, SampleBuffer) throws -> Void
  ) throws -> Ahead {
    var ahead = Ahead()
    var nodes = LiveNodeFilter(filter, tree)
    var buffer = SampleBuffer()
    let wantsDevices = !nodes.device.isEmpty
    let families = selection.wantsNewestOnly && !wantsDevices ? families : nil
    var whole: [Double] = []
    let through = min(selection.endMilliseconds, BongsuModel.Limits.tickRange.upperBound.unixMilliseconds)
    try forEachRow(&nodes, columns(filter), through: Tick(unixMilliseconds: through)) { nodes, labels, row, values in
      let tick = row.tick.unixMilliseconds
      guard tick >= selection.startMilliseconds, tick <= selection.endMilliseconds else {
        if tick > selection.endMilliseconds {
          ahead.nodes.insert(labels.id)
          ahead.intervalMillisecondsMax = max(ahead.intervalMillisecondsMax, labels.layout.interval.milliseconds)
        }
        return
      }
      let staleAt = Self.staleAt(row.tick, labels.layout.interval)
      let isStale = staleAt <= selection.endMilliseconds
      if isStale, selection.wantsNewestOnly { return }
      var next = row.first
      let columns = row.column < 0 ? 0..<labels.layout.columns.count : Int(row.column)..<Int(row.column) + 1
      for column in columns {
        let metric = labels.layout.columns[column]
        let devices = labels.devices(metric.scope)
        let first = next
        next += devices.count
        guard row.column >= 0 || nodes.includes(metric) else { continue }
        if let families, let one = devices.first, families.isTakenWhole(labels.family) {
          whole.removeAll(keepingCapacity: true)
          for device in devices.indices {
            guard let reading = SampleValue(bits: values[first + device]).reading else { continue }
            whole.append(metric.unit.exposed(reading))
          }
          if !whole.isEmpty { try families.visit(one.named(metric.name), whole) }
          continue
        }
        for device in devices.indices {
          guard let reading = SampleValue(bits: values[first + device]).reading else { continue }
          if wantsDevices, !nodes.includes(device: devices[device]) { continue }
          buffer.removeAll()
          buffer.append(timestamp: tick, value: metric.unit.exposed(reading))
          if isStale { buffer.append(timestamp: staleAt, value: StaleMarker.value) }
          try visit(devices[device].named(metric.name), buffer)
        }
      }
    }
    return ahead
  }

  func visitLabelSets(_ filter: SeriesFilter, _ span: TimeSpan, _ visit: (LabelSet) throws -> Void) throws {
    let selection = SeriesSelection(
      matchers: filter.matchers, startMilliseconds: span.lowerBound, endMilliseconds: span.upperBound,
      stepMilliseconds: 1)
    try self.visit(selection, filter) { labels, _ in try visit(labels) }
  }

  func addLabelNames(_ filter: SeriesFilter, _ span: TimeSpan, to names: inout Set<String>) throws {
    var shapes: Set<Int> = []
    try forEachDevice(filter, span) { labels, scope, set in
      let device = set.labelsWithoutName.count << 4 | Int(scope.rawValue) << 2 | (labels.rack == nil ? 2 : 0)
      let shape = device << 1 | (set["uuid"].isEmpty ? 1 : 0)
      guard shapes.insert(shape).inserted else { return }
      names.insert(Label.metricName)
      for label in set.labelsWithoutName { names.insert(label.name) }
    }
  }

  func addLabelValues(of name: String, _ filter: SeriesFilter, _ span: TimeSpan, to values: inout Set<String>) throws {
    if name == Label.metricName { return try addMetricNames(filter, span, to: &values) }
    var racks: Set<Int> = []
    try forEachDevice(filter, span) { labels, scope, set in
      // The devices of a rack agree in where they stand.
      if LiveNodeFilter.place.contains(name), let rack = labels.rack, !racks.insert(rack.position).inserted { return }
      let value = set[name]
      if !value.isEmpty { values.insert(value) }
    }
  }

  private func addMetricNames(_ filter: SeriesFilter, _ span: TimeSpan, to values: inout Set<String>) throws {
    var nodes = LiveNodeFilter(filter, tree)
    var seen: [UInt16: String] = [:]
    try forEachRow(&nodes, .none) { nodes, labels, row, _ in
      guard span.contains(row.tick.unixMilliseconds) else { return }
      for metric in labels.layout.columns where seen[metric.id.rawValue] != metric.name && nodes.includes(metric) {
        let devices = labels.devices(metric.scope)
        guard devices.contains(where: { nodes.includes(device: $0) }) else { continue }
        seen[metric.id.rawValue] = metric.name
        values.insert(metric.name)
      }
    }
  }

  /// Every device of a node that has a row in the span and a column that is meant, once per scope.
  private func forEachDevice(
    _ filter: SeriesFilter, _ span: TimeSpan, _ body: (LiveNodeLabels, DeviceScope, LabelSet) throws -> Void
  ) throws {
    var nodes = LiveNodeFilter(filter, tree)
    try forEachRow(&nodes, .none) { nodes, labels, row, _ in
      guard span.contains(row.tick.unixMilliseconds) else { return }
      for scope in DeviceScope.allCases {
        let devices = labels.devices(scope)
        guard !devices.isEmpty else { continue }
        var isMeant = false
        for metric in labels.layout.columns where metric.scope == scope && nodes.includes(metric) {
          isMeant = true
          break
        }
        guard isMeant else { continue }
        for set in devices where nodes.includes(device: set) { try body(labels, scope, set) }
      }
    }
  }

  // MARK: Asking the shards

  private func columns(_ filter: SeriesFilter) -> LiveQuestion.Columns {
    guard let names = filter.exactNames else { return .all }
    return .some(names.filter { canHold(name: $0) && filter.includes(name: $0) }.map { LiveQuestion.Wanted($0) })
  }

  /// Visits the rows of all nodes that the filter leaves, with their labels. Asks shard after shard, some thousand nodes
  /// a turn, so that no shard is held up and memory stays bounded.
  private func forEachRow(
    _ nodes: inout LiveNodeFilter, _ columns: LiveQuestion.Columns, through: Tick? = nil,
    _ body: (inout LiveNodeFilter, LiveNodeLabels, LiveAnswer.Row, [Int64]) throws -> Void
  ) throws {
    if case .some(let wanted) = columns, wanted.isEmpty { return }
    guard case .running = engine.phase else {
      throw SeriesSourceError.unavailable("the aggregator is starting or stopping; ask again when /-/ready says so")
    }
    for shard in 0..<engine.shardCount {
      var known = directory.nodes(ofShard: shard)
      let now = engine.newest?.closed.tick
      let wanted = known.map { labels in
        // Labels that may have run out are made again before they are looked at.
        guard let labels, let now, labels.from <= now, now < labels.until else { return true }
        return nodes.includes(labels)
      }
      let question = LiveQuestion(
        columns: columns, known: known.map { $0?.layoutVersion ?? 0 }, wanted: wanted, through: through)
      var first: Int? = 0
      while let start = first {
        let answer = try ask(shard, question, from: start)
        if !answer.news.isEmpty { known = directory.add(answer.news, toShard: shard) }
        for row in answer.rows {
          let number = Int(row.number)
          guard number < known.count, var labels = known[number] else { continue }
          if !labels.hold(at: row.tick, layoutVersion: row.layoutVersion) {
            guard labels.layoutVersion == row.layoutVersion else { continue }
            let news = LiveDirectory.News(
              number: number, id: labels.id, layout: labels.layout, layoutVersion: row.layoutVersion, tick: row.tick)
            known = directory.add([news], toShard: shard)
            guard let renewed = known[number] else { continue }
            labels = renewed
          }
          if number >= wanted.count || wanted[number], !nodes.includes(labels) { continue }
          try body(&nodes, labels, row, answer.values)
        }
        first = answer.next
      }
    }
  }

  private func ask(_ shard: Int, _ question: LiveQuestion, from first: Int) throws -> LiveAnswer {
    let answer = engine.askBlocking(shard: shard, within: Self.answerMillisecondsMax) { view in
      question.answer(view, from: first)
    }
    guard let answer else {
      throw SeriesSourceError.unavailable(
        "shard \(shard) did not answer within \(Self.answerMillisecondsMax) ms; look at the aggregator's load")
    }
    return answer
  }
}
