public import BongsuModel

/// What the minutes before leave to a minute: of every node what it last said, of every meter and of every machine's
/// controller its last reading.
///
/// With it a minute is a function of its own rows and the fleet alone, and so is what it leaves to the next one.
public struct RollupCarry: Hashable, Sendable {
  /// The newest reading of a meter.
  public struct Reading: Hashable, Sendable {
    public var milliwatts: Int64
    public var tick: Tick
  }

  /// By node; only nodes that were heard.
  public internal(set) var nodes: [NodeID: MemberState] = [:]
  /// By `FACTORY/METER`, so that it outlives changes of the fleet file.
  public internal(set) var meters: [String: Reading] = [:]

  /// By machine; only what still stands after the minute.
  var controllers: [NodeID: ControllerReadings] = [:]

  /// Nothing was heard before.
  public init() {}

  /// How far back of a minute rows may be needed besides this: what nodes that are slower than the rollup sent last.
  public var reachMilliseconds: Int64 {
    let longest = nodes.values.reduce(Int64(0)) { max($0, $1.intervalMilliseconds) }
    return longest > 1000 ? longest : 0
  }

  /// The newest tick of all nodes; `nil` when nothing was heard.
  public var newestTick: Tick? { nodes.values.lazy.map(\.lastTick).max() }

  /// A number that is another for nearly every other carry, the same in every process: tells whether a minute that was
  /// formed again leaves to the next one what it left before.
  public var fingerprint: Int64 {
    var sum: UInt64 = 0
    var writer = IntegerWriter()
    for state in nodes.values {
      writer.removeAll()
      writer.add(state)
      sum &+= Self.hash(writer.bytes)
    }
    for (name, reading) in meters {
      writer.removeAll()
      writer.add(name)
      writer.add(reading.milliwatts)
      writer.add(reading.tick.unixMilliseconds)
      sum &+= Self.hash(writer.bytes)
    }
    for (machine, readings) in controllers {
      writer.removeAll()
      writer.add(machine, readings)
      sum &+= Self.hash(writer.bytes)
    }
    return Int64(bitPattern: sum)
  }

  /// FNV-1a, 64 bits, with a last mixing (as in splitmix64), since hashes are added up.
  private static func hash(_ bytes: [UInt8]) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    hash = (hash ^ hash >> 30) &* 0xBF58_476D_1CE4_E5B9
    hash = (hash ^ hash >> 27) &* 0x94D0_49BB_1331_11EB
    return hash ^ hash >> 31
  }

  // MARK: Bytes

  /// The first form had no controllers.
  private static let version: Int64 = 2

  /// As it is stored.
  public var bytes: [UInt8] {
    var writer = IntegerWriter()
    writer.add(Self.version)
    writer.add(nodes.count)
    for (_, state) in nodes.sorted(by: { $0.key < $1.key }) { writer.add(state) }
    writer.add(meters.count)
    for (name, reading) in meters.sorted(by: { $0.key < $1.key }) {
      writer.add(name)
      writer.add(reading.milliwatts)
      writer.add(reading.tick.unixMilliseconds)
    }
    writer.add(controllers.count)
    for (machine, readings) in controllers.sorted(by: { $0.key < $1.key }) { writer.add(machine, readings) }
    return writer.bytes
  }

  /// Reads what ``bytes`` gave. Any bytes may be given; nothing traps.
  public init(bytes: [UInt8]) throws(PackedIntegersUnreadable) {
    var reader = IntegerReader(bytes)
    let version = try reader.next()
    guard (1...Self.version).contains(version) else { throw PackedIntegersUnreadable(offset: 0) }
    for _ in 0..<(try reader.count(max: Limits.membersMax)) {
      let state = try reader.memberState()
      nodes[state.id] = state
    }
    for _ in 0..<(try reader.count(max: Limits.membersMax)) {
      let name = try reader.text()
      meters[name] = Reading(milliwatts: try reader.next(), tick: Tick(unixMilliseconds: try reader.next()))
    }
    if version >= 2 {
      for _ in 0..<(try reader.count(max: Limits.membersMax)) {
        guard let machine = NodeID(try reader.text()) else { throw PackedIntegersUnreadable(offset: reader.offset) }
        var readings = ControllerReadings()
        for _ in 0..<(try reader.count(max: Limits.controllerReadingsMax)) {
          readings.note(
            ControllerReading(
              time: try reader.next(), intervalMilliseconds: try reader.next(), milliwatts: try reader.next()))
        }
        controllers[machine] = readings
      }
    }
    guard reader.isAtEnd else { throw PackedIntegersUnreadable(offset: reader.offset) }
  }
}

extension IntegerWriter {
  mutating func add(_ machine: NodeID, _ controller: ControllerReadings) {
    add(machine.name)
    add(controller.readings.count)
    for reading in controller.readings {
      add(reading.time)
      add(reading.intervalMilliseconds)
      add(reading.milliwatts)
    }
  }

  mutating func add(_ state: MemberState) {
    add(state.id.name)
    add(state.modelKey ?? "")
    let last = state.lastTick.unixMilliseconds
    add(last)
    add(last &- state.firstTick.unixMilliseconds)
    add(state.intervalMilliseconds)
    add(state.lastMilliwatts)
    add(state.lastGPUMilliwatts)
    add(state.lastGPUs)
    // Zero is "never": a tick that is the newest has the distance 1.
    add(state.full.map { last &- $0.tick.unixMilliseconds &+ 1 } ?? 0)
    if let full = state.full { add(full.milliwatts) }
    add(state.counters.count)
    for counter in state.counters {
      add(bits: counter.key)
      add(counter.tick.map { last &- $0.unixMilliseconds &+ 1 } ?? 0)
      if counter.tick != nil { add(counter.millijoules) }
    }
  }
}

extension IntegerReader {
  mutating func memberState() throws(PackedIntegersUnreadable) -> MemberState {
    guard let id = NodeID(try text()) else { throw PackedIntegersUnreadable(offset: offset) }
    let model = try text()
    let last = try next()
    let first = last &- (try next())
    let interval = try next()
    let milliwatts = try next()
    let gpuMilliwatts = try next()
    let gpus = try next()
    var full: MemberState.FullReading?
    let fullAge = try next()
    if fullAge != 0 {
      full = .init(tick: Tick(unixMilliseconds: last &- (fullAge &- 1)), milliwatts: try next())
    }
    var counters: [MemberState.Counter] = []
    for _ in 0..<(try count(max: Limits.gpusPerMemberMax)) {
      let key = try nextBits()
      let age = try next()
      counters.append(
        MemberState.Counter(
          key: key, tick: age == 0 ? nil : Tick(unixMilliseconds: last &- (age &- 1)),
          millijoules: age == 0 ? 0 : try next()))
    }
    return MemberState(
      id: id, modelKey: model.isEmpty ? nil : model, firstTick: Tick(unixMilliseconds: first),
      lastTick: Tick(unixMilliseconds: last), intervalMilliseconds: interval, lastMilliwatts: milliwatts,
      lastGPUMilliwatts: gpuMilliwatts, lastGPUs: gpus, full: full, counters: counters)
  }
}
