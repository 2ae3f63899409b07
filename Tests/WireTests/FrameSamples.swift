import BongsuModel
import BongsuTestKit

@testable import BongsuWire

/// Well-formed frames of every type, drawn from a seed; shared by the tests of this folder.
struct FrameSamples {
  var random: SeededRandom

  init(seed: UInt64) { random = SeededRandom(seed: seed) }

  static let layout: RowLayout = {
    let columns = MetricCatalogue.all.filter { $0.scope != .module }
    var devices = (0..<8).map { Device(scope: .gpu, index: $0, key: "GPU-\($0)", model: "NVIDIA H100 80GB HBM3") }
    devices.append(.node)
    guard let layout = try? RowLayout(interval: .second, columns: columns, devices: devices) else {
      preconditionFailure("the sample layout is valid")
    }
    return layout
  }()

  mutating func number() -> UInt64 {
    // All magnitudes alike, so that every length of a varint is met.
    UInt64.random(in: 0...UInt64.max, using: &random) >> UInt64.random(in: 6..<64, using: &random)
  }

  mutating func tick() -> Tick { Tick(unixMilliseconds: Int64(number() % 7_000_000_000_000)) }

  mutating func set() -> SequenceSet {
    var set = SequenceSet(floor: number() % (1 << 40))
    var next = set.floor
    for _ in 0..<Int.random(in: 0...5, using: &random) {
      let first = next + 2 + number() % 1000
      let last = first + number() % 1000
      _ = set.insert(first, last)
      next = last
    }
    return set
  }

  mutating func hello() -> Hello {
    Hello(
      node: NodeID("seoul-\(number() % 1000)") ?? NodeID("n")!, stream: StreamID(rawValue: random.next()),
      incarnation: Incarnation(rawValue: random.next()), boot: BootID(rawValue: random.next()),
      anchor: ClockReading(
        unixMilliseconds: Int64(bitPattern: random.next()), boottimeMilliseconds: Int64(number() % (1 << 40))),
      firstSequenceOfRun: 1 + number() % 1000, nextSequence: 1000 + number() % (1 << 61), agentVersion: "0.1.0",
      layouts: (0..<Int.random(in: 0...2, using: &random)).map {
        LayoutAnnouncement(number: $0, layout: Self.layout)
      })
  }

  mutating func welcome() -> Welcome {
    Welcome(
      requiresNewStream: Bool.random(using: &random), stream: StreamID(rawValue: random.next()),
      serverUnixMilliseconds: tick().unixMilliseconds, echoedBoottimeMilliseconds: Int64(number()),
      creditBlocks: Int.random(in: 30...1024, using: &random),
      ackIntervalMilliseconds: Int.random(in: 0...10_000, using: &random), oldestTick: tick(),
      newestTick: Bool.random(using: &random) ? tick() : nil, durable: set())
  }

  mutating func refuse() -> Refuse {
    Refuse(
      reason: RefuseReason.allCases.randomElement(using: &random)!, retryAfterMilliseconds: number() % 86_400_000,
      detail: "key of seoul-1, hello says 봉수-2")
  }

  mutating func block() -> BlockHeader {
    let isBased = Bool.random(using: &random)
    let first = 2 + number() % (1 << 50)
    return BlockHeader(
      layoutNumber: Int(number() % (1 << 20)), firstSequence: first,
      rowCount: Bool.random(using: &random) ? 1 : Int.random(in: 1...4096, using: &random),
      anchor: isBased
        ? .based(sequenceDistance: 1 + number() % min(first - 1, 1 << 16), ticks: 1 + number() % (1 << 15))
        : .standalone(
          tick: tick(), boottimeMilliseconds: Int64(number() % (1 << 40)),
          boot: Bool.random(using: &random) ? BootID(rawValue: random.next()) : nil),
      isCorrected: Bool.random(using: &random), isLate: isBased ? false : Bool.random(using: &random))
  }

  mutating func gap() -> Gap {
    let first = 1 + number() % (1 << 50)
    return Gap(
      reason: GapReason.allCases.randomElement(using: &random)!, firstSequence: first,
      lastSequence: first + number() % (1 << 50), firstTick: Bool.random(using: &random) ? tick() : nil,
      lastTick: Bool.random(using: &random) ? tick() : nil)
  }

  mutating func reject() -> Reject {
    Reject(
      firstSequence: 1 + number() % (1 << 60), rowCount: Int.random(in: 1...4096, using: &random),
      reason: RejectReason.allCases.randomElement(using: &random)!, valueSeen: Int64(bitPattern: random.next()),
      limit: Int64(bitPattern: random.next()))
  }

  mutating func heartbeat() -> Heartbeat {
    Heartbeat(
      isReply: Bool.random(using: &random), unixMilliseconds: Int64(bitPattern: random.next()),
      boottimeMilliseconds: Int64(number() % (1 << 40)))
  }

  mutating func ack() -> Ack {
    Ack(
      creditBlocks: Int.random(in: 0...1024, using: &random), takesOldestOnly: Bool.random(using: &random),
      durable: set())
  }

  /// The bytes of a frame of `type`.
  mutating func bytes(_ type: FrameType) -> [UInt8] {
    var bytes: [UInt8] = []
    switch type {
    case .hello: hello().encode(into: &bytes)
    case .welcome: welcome().encode(into: &bytes)
    case .refuse: refuse().encode(into: &bytes)
    case .layout: LayoutAnnouncement(number: 7, layout: Self.layout).encode(into: &bytes)
    case .block:
      block().encode(into: &bytes)
      bytes.append(contentsOf: [1, 2, 3])
    case .ack: ack().encode(into: &bytes)
    case .reject: reject().encode(into: &bytes)
    case .gap: gap().encode(into: &bytes)
    case .heartbeat: heartbeat().encode(into: &bytes)
    }
    return bytes
  }
}

/// Decodes whatever frame `bytes` are, as a receiver would.
func decodeAny(_ bytes: [UInt8]) throws(FrameError) {
  try read(bytes, decodeAny)
}

private func decodeAny(_ frame: RawSpan) throws(FrameError) {
  switch try FrameType(of: frame) {
  case .hello: _ = try Hello(decoding: frame)
  case .welcome: _ = try Welcome(decoding: frame)
  case .refuse: _ = try Refuse(decoding: frame)
  case .layout: _ = try LayoutAnnouncement(decoding: frame)
  case .block:
    var offset = 0
    _ = try BlockHeader(decoding: frame, payloadOffset: &offset)
  case .ack: _ = try Ack(decoding: frame)
  case .reject: _ = try Reject(decoding: frame)
  case .gap: _ = try Gap(decoding: frame)
  case .heartbeat: _ = try Heartbeat(decoding: frame)
  }
}

/// Lends `bytes` to a decoder.
func read<Result>(
  _ bytes: [UInt8], _ body: (RawSpan) throws(FrameError) -> Result
) throws(FrameError) -> Result {
  // SAFETY: integers have no padding, so all their bytes are initialized.
  try unsafe body(bytes.span.bytes)
}
